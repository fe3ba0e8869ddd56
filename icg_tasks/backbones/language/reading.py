"""What every language model family answers: read titles and reference images once, then the states of K meta tokens.

Legend: B items, T positions of the longest prefix, K meta tokens, D width of the language model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A batch of items as the model has read them: keys and values of each layer, and where K more tokens would stand.

    Independent of the meta tokens, so it may be kept and used with any.
    """

    layers: list[tuple[Tensor, Tensor]]
    mask_BT: Tensor  # 1 = a token, 0 = padding; T + K columns
    positions: Tensor  # of the K tokens that follow, in the family's own form


class LanguageModel(Protocol):
    """A frozen causal multimodal language model."""

    @property
    def width(self) -> int:
        """D."""
        ...

    @property
    def embedding_deviation(self) -> float:
        """Standard deviation of its token embeddings: the size meta tokens should start with."""
        ...

    def read(self, titles: Sequence[str], images: Sequence[Image.Image], num_tokens: int) -> Reading:
        """Title and reference image of each item; ``num_tokens`` = K. No gradient."""
        ...

    def states(self, reading: Reading, tokens_KD: Tensor) -> Tensor:
        """Last hidden states [B, K, D] (float32) of the meta tokens behind what was read; differentiable in the tokens."""
        ...
