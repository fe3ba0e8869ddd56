"""What a token model is asked: covers somebody liked, some codes of them hidden; a title; one soft token of the reference.

Hidden codes of a history are zero vectors in their place; hidden codes of a reference are left out and the rest is their mean
(Pigeon, WWW 2025). Knows prompts; no data set. Legend: B samples, H history images, N codes of an image, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from icg_tasks.backbones.tokens.writing import Piece, Prompt, TokenModel
from icg_tasks.models.pigeon.masks import Masks

LIKED, TITLE, REFERENCE = "Liked covers: ", "\nTitle: ", "\nReference: "


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Samples: whose history, which item."""

    history_BHN: Tensor
    reference_BN: Tensor
    titles: Sequence[str]

    def __len__(self) -> int:
        return len(self.titles)

    def rows(self, rows: Sequence[int]) -> "Asked":
        """Some of the samples, in that order; a number may come twice."""
        return Asked(
            history_BHN=self.history_BHN[list(rows)],
            reference_BN=self.reference_BN[list(rows)],
            titles=[self.titles[row] for row in rows],
        )


def embedded(model: TokenModel, asked: Asked) -> tuple[Tensor, Tensor]:
    """Embeddings of history [B, H, N, D] and reference [B, N, D]."""
    flat = model.embed_codes(asked.history_BHN.flatten(0, 1))
    return flat.view(*asked.history_BHN.shape, model.width), model.embed_codes(asked.reference_BN)


def personal_prompt(model: TokenModel, asked: Asked, masks: Masks) -> Prompt:
    """Everything; differentiable in the masks."""
    history_BHND, reference_BND = embedded(model, asked)
    seen = history_BHND * masks.history_BHN[..., None].to(history_BHND.dtype)
    soft_BD = soft_tokens(reference_BND, masks.reference_BN)
    rows: list[list[Piece]] = []
    for row, title in enumerate(asked.titles):
        liked = [model.framed(image) for image in seen[row]]
        rows.append([LIKED, *liked, TITLE + title, REFERENCE, soft_BD[row][None]])
    return model.prompt(rows)


def plain_prompt(model: TokenModel, asked: Asked, reference_BN: Tensor) -> Prompt:
    """For nobody special: title and reference alone, as much of it as the mask [B, N] keeps."""
    soft_BD = soft_tokens(model.embed_codes(asked.reference_BN), reference_BN)
    return model.prompt([[TITLE + title, REFERENCE, soft[None]] for title, soft in zip(asked.titles, soft_BD, strict=True)])


def soft_tokens(reference_BND: Tensor, kept_BN: Tensor) -> Tensor:
    """Mean embedding of the kept codes [B, D]; zeros where none is kept."""
    weights = kept_BN.to(reference_BND.dtype)[..., None]
    found: Tensor = (reference_BND * weights).sum(dim=1) / weights.sum(dim=1).detach().clamp(min=1.0)
    return found


def log_chance(model: TokenModel, prompt: Prompt, codes_BN: Tensor) -> Tensor:
    """Sum of the log probabilities of an image's codes [B]; the prompt's own tokens do not count."""
    logits = model.logits(prompt, codes_BN)
    return torch.log_softmax(logits, dim=-1).gather(-1, codes_BN[..., None])[..., 0].sum(dim=-1)
