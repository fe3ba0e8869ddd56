"""What every token family answers: images to codes and back, codes and texts to embeddings, and an image written code by code.

Legend: B rows, N codes of an image, L positions an image takes (codes and what a family puts between them), T prompt positions,
C codes there are, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from icg_tasks.backbones.device import Compute

Piece = str | Tensor
"""Of a prompt: a text, or embeddings [M, D] that stand as they are."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A batch of prompts as embeddings, padded on the left; the image's first code comes next."""

    embeds_BTD: Tensor
    mask_BT: Tensor  # 1 = a position, 0 = padding

    def __len__(self) -> int:
        return len(self.mask_BT)

    def rows(self, rows: Sequence[int] | slice) -> "Prompt":
        """Some of the prompts."""
        return Prompt(embeds_BTD=self.embeds_BTD[rows], mask_BT=self.mask_BT[rows])

    @classmethod
    def joined(cls, parts: Sequence["Prompt"]) -> "Prompt":
        """One batch of several, the shorter ones padded on the left."""
        longest = max(part.mask_BT.shape[1] for part in parts)
        lacking = [longest - part.mask_BT.shape[1] for part in parts]
        embeds = [functional.pad(part.embeds_BTD, (0, 0, more, 0)) for part, more in zip(parts, lacking, strict=True)]
        masks = [functional.pad(part.mask_BT, (more, 0)) for part, more in zip(parts, lacking, strict=True)]
        return cls(embeds_BTD=torch.cat(embeds), mask_BT=torch.cat(masks))


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a code is drawn: among the ``top_k`` likeliest (1 = always the likeliest), at a temperature; ``guidance`` above 1
    goes beyond what the prompt says, away from a prompt that says nothing."""

    top_k: int = 50
    temperature: float = 1.0
    guidance: float = 1.0


class TokenModel(Protocol):
    """A causal language model over words and image codes, with the tokenizer of its images."""

    network: Any
    """The language model itself; a LoRA replaces it in place."""

    @property
    def compute(self) -> Compute:
        """Device and precision."""
        ...

    @property
    def width(self) -> int:
        """D."""
        ...

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of codes; N is their product."""
        ...

    @property
    def num_codes(self) -> int:
        """C."""
        ...

    @property
    def lora_targets(self) -> tuple[str, ...]:
        """Names of the query and value projections."""
        ...

    def encode(self, images: Sequence[Image.Image]) -> Tensor:
        """Codes [B, N], row by row of each image; images are squeezed to the model's square. No gradient."""
        ...

    def decode(self, codes_BN: Tensor) -> Tensor:
        """Pixels [B, 3, H, W] in [0, 1]. No gradient."""
        ...

    def embed_codes(self, codes_BN: Tensor) -> Tensor:
        """[B, N, D]."""
        ...

    def framed(self, codes_ND: Tensor) -> Tensor:
        """An image as it stands in a prompt [M, D]: the embeddings of its codes, laid out, between the family's marks."""
        ...

    def prompt(self, rows: Sequence[Sequence[Piece]]) -> Prompt:
        """Requests in the family's own words, ended by the mark after which an image's codes come; texts are bounded and cannot
        speak marks. A request without pieces is the prompt that says nothing."""
        ...

    def logits(self, prompt: Prompt, codes_BN: Tensor) -> Tensor:
        """[B, N, C], each code told by the prompt and the codes before it; differentiable in the prompt."""
        ...

    def write(self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling) -> Tensor:
        """Codes [B, N]; a row's draws come from its own seed, so they do not depend on the other rows. No gradient."""
        ...
