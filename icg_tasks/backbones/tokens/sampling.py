"""How a code is drawn from logits: top-k, a temperature, and one number of the row's own seed per code. Knows numbers.

Legend: B rows, N codes of an image, C codes there are, K kept.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from icg_tasks.backbones.tokens.writing import Sampling


def uniform_draws(seeds: Sequence[int], count: int) -> Tensor:
    """Numbers [B, count] in [0, 1), each row from its own seed.

    >>> bool((uniform_draws([3, 4], 5)[1] == uniform_draws([4], 5)[0]).all())
    True
    """
    rows = [torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in seeds]
    return torch.stack(rows)


def draw_codes(logits_BC: Tensor, draws_B: Tensor, sampling: Sampling) -> Tensor:
    """Codes [B] among the ``top_k`` likeliest: where the draw falls on their cumulated chances, the likeliest first.

    >>> logits = torch.tensor([[0.0, 2.0, 1.0]])
    >>> [int(draw_codes(logits, torch.tensor([u]), Sampling(top_k=2))) for u in (0.0, 0.7, 0.8, 0.99)]
    [1, 1, 2, 2]
    """
    kept = min(sampling.top_k, logits_BC.shape[-1])
    best = logits_BC.double().topk(kept, dim=-1)
    chances_BK = (best.values / sampling.temperature).softmax(dim=-1)
    passed_B = (chances_BK.cumsum(dim=-1) <= draws_B[:, None].double()).sum(dim=-1).clamp(max=kept - 1)
    return best.indices.gather(1, passed_B[:, None])[:, 0]
