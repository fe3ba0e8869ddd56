"""Which codes of a history and of a reference a cover is made from (mask generation of Pigeon, WWW 2025).

Codes of all images pass one transformer layer and a tanh projection; a code's score is the cosine of what went in and what came
out. Masks are whole numbers forwards and have a gradient backwards, since embeddings are multiplied by them. Knows no model.
Legend: B samples, H history images, N codes of an image, M codes of something, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from icg_tasks.backbones.tokens.sampling import uniform_draws
from icg_tasks.contracts.errors import SettingsError

KINDS = ("learned", "random", "none")
_SMALLEST = 1e-9


@dataclass(frozen=True, kw_only=True)
class Masks:
    """1 = kept, 0 = masked."""

    history_BHN: Tensor
    reference_BN: Tensor

    def detached(self) -> "Masks":
        """The same numbers without gradient."""
        return Masks(history_BHN=self.history_BHN.detach(), reference_BN=self.reference_BN.detach())


@dataclass(frozen=True, kw_only=True)
class MaskPlan:
    """How much is masked and how. ``draws``: a draw of codes by their scores, as in training; else the best codes.

    ``seeds`` (one per sample) decide draws and random masks, whatever else is in the batch.
    """

    reference_ratio_B: Tensor  # share of the reference's codes that is masked
    seeds: Sequence[int]
    history_ratio: float = 0.2
    kind: str = "learned"
    draws: bool = False


class MaskGenerator(nn.Module):
    """Scores of codes, each seen among all others of its sample: so what is kept of a history depends on the reference."""

    def __init__(self, *, width: int, num_codes: int, history_length: int, heads: int, temperature: float = 1.0) -> None:
        super().__init__()
        if width % heads:
            raise SettingsError(f"pigeon.mask_heads={heads} does not divide the token model's width {width}; set one that does")
        self.temperature = temperature
        self.positions = nn.Parameter(torch.randn(history_length + 1, num_codes, width) * 0.02)
        self.types = nn.Parameter(torch.randn(2, width) * 0.02)  # of the history, of the reference
        self.layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True)
        self.project = nn.Linear(width, width)

    def scores(self, history_BHND: Tensor, reference_BND: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines [B, H, N] and [B, N], in [-1, 1]."""
        images = torch.cat([history_BHND, reference_BND[:, None]], dim=1).float()
        images = functional.layer_norm(images, images.shape[-1:])
        kinds = torch.cat([self.types[:1].expand(history_BHND.shape[1], -1), self.types[1:]])
        placed = images + self.positions + kinds[:, None]
        given_BMD = placed.flatten(1, 2)
        answered = torch.tanh(self.project(self.layer(given_BMD)))
        found = functional.cosine_similarity(given_BMD, answered, dim=-1).view(images.shape[:3])
        return found[:, :-1], found[:, -1]

    def forward(self, history_BHND: Tensor, reference_BND: Tensor, plan: MaskPlan) -> Masks:
        """History: the codes with the highest scores. Reference: the same at inference; in training rather those with the
        lowest, so that the history must tell what the reference hides."""
        if plan.kind not in KINDS:
            raise SettingsError(f"pigeon.history_mask={plan.kind!r}; expected one of {', '.join(KINDS)}")
        history_BHN, reference_BN = self.scores(history_BHND, reference_BND)
        count = history_BHN.shape[1] * history_BHN.shape[2]
        keys_BM = torch.log_softmax(history_BHN.flatten(1), dim=-1)
        chances_BN = torch.softmax(reference_BN, dim=-1)
        told_BN = (1 - chances_BN if plan.draws else chances_BN).clamp(min=_SMALLEST).log()
        if plan.draws:
            noise = gumbel(plan.seeds, count + told_BN.shape[1]).to(keys_BM)
            keys_BM, told_BN = keys_BM + noise[:, :count], told_BN + noise[:, count:]
        return Masks(
            history_BHN=self._history(keys_BM, plan, count).view_as(history_BHN),
            reference_BN=keep(told_BN, kept_counts(plan.reference_ratio_B, told_BN.shape[1]), self.temperature),
        )

    def _history(self, keys_BM: Tensor, plan: MaskPlan, count: int) -> Tensor:
        if plan.kind == "none":
            return torch.ones_like(keys_BM)
        if plan.kind == "random":
            keys_BM = uniform_draws(plan.seeds, count).to(keys_BM)
        ratio_B = torch.full((len(keys_BM),), plan.history_ratio, device=keys_BM.device)
        return keep(keys_BM, kept_counts(ratio_B, count), self.temperature)


def kept_counts(ratio_B: Tensor, count: int) -> Tensor:
    """How many of ``count`` codes are kept where a share of them is masked [B].

    >>> kept_counts(torch.tensor([0.0, 0.2, 0.55, 1.0]), 10).tolist()
    [10, 8, 4, 0]
    """
    return ((1 - ratio_B.double()) * count).round().long().clamp(0, count)


def keep(keys_BM: Tensor, kept_B: Tensor, temperature: float) -> Tensor:
    """1 for a row's ``kept_B`` highest keys, else 0; backwards as if it were that many times the keys' softmax.

    >>> keep(torch.tensor([[0.1, 0.9, 0.5]]), torch.tensor([2]), 1.0).tolist()
    [[0.0, 1.0, 1.0]]
    """
    places = keys_BM.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    hard = (places < kept_B[:, None]).to(keys_BM.dtype)
    soft = torch.softmax(keys_BM / temperature, dim=-1) * kept_B[:, None]
    return hard + (soft - soft.detach())


def gumbel(seeds: Sequence[int], count: int) -> Tensor:
    """Standard Gumbel noise [B, count], each row from its own seed: added to log chances, the k highest are a draw of k
    without replacement (Kool, van Hoof and Welling 2019)."""
    draws = uniform_draws(seeds, count).clamp(_SMALLEST, 1 - _SMALLEST)
    return -(-draws.log()).log()
