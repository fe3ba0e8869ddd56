"""A pipeline's own text encoders: CLIP and T5, texts to states. Knows tokenizers and text models; no denoiser.

Legend: B texts, L positions, C width, P pooled width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_CLIP_BATCH, _T5_BATCH = 64, 16


@dataclass(frozen=True, kw_only=True)
class TextEncoder:
    """A frozen tokenizer and text model; texts are cut and padded to ``length`` tokens."""

    tokenizer: Any
    model: Any
    length: int

    @classmethod
    def clip(cls, pair: tuple[Any, Any], device: torch.device) -> "TextEncoder":
        """CLIP: as many tokens as it has positions."""
        tokenizer, model = pair
        return cls(tokenizer=tokenizer, model=_frozen(model, device), length=int(model.config.max_position_embeddings))

    @classmethod
    def t5(cls, pair: tuple[Any, Any], device: torch.device, most: int) -> "TextEncoder":
        """T5: ``most`` tokens, fewer where its tokenizer says so (it has no positions of its own to run out of)."""
        tokenizer, model = pair
        return cls(tokenizer=tokenizer, model=_frozen(model, device), length=min(most, int(tokenizer.model_max_length)))

    @property
    def width(self) -> int:
        """C."""
        return int(self.model.config.hidden_size)

    @torch.no_grad()
    def clip_states(self, texts: Sequence[str], *, second_last: bool) -> tuple[Tensor, Tensor]:
        """States [B, L, C] of the last layer (normalised) or the one before it, and the pooled vector [B, P], projected where
        the model projects."""
        states, pooled = [], []
        for ids, _ in self._batches(texts, _CLIP_BATCH):
            found = self.model(input_ids=ids, output_hidden_states=True)
            states.append((found.hidden_states[-2] if second_last else found.last_hidden_state).float())
            pooled.append((found.text_embeds if hasattr(found, "text_embeds") else found.pooler_output).float())
        return torch.cat(states), torch.cat(pooled)

    @torch.no_grad()
    def t5_states(self, texts: Sequence[str], *, masked: bool) -> tuple[Tensor, Tensor]:
        """States [B, L, C], and which positions hold a token [B, L]; ``masked``: padding is hidden from the model, too."""
        states, masks = [], []
        for ids, mask in self._batches(texts, _T5_BATCH):
            states.append(self.model(input_ids=ids, attention_mask=mask if masked else None).last_hidden_state.float())
            masks.append(mask)
        return torch.cat(states), torch.cat(masks).to(states[0].dtype)

    def _batches(self, texts: Sequence[str], size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for at in range(0, len(texts), size):
            found = self.tokenizer(
                list(texts[at : at + size]),
                padding="max_length",
                max_length=self.length,
                truncation=True,
                return_attention_mask=True,
                return_tensors="pt",
            )
            yield found["input_ids"].to(self.model.device), found["attention_mask"].to(self.model.device)


def _frozen(model: Any, device: torch.device) -> Any:
    return model.eval().requires_grad_(False).to(device)
