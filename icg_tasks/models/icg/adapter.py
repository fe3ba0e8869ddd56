"""The ICG adapter: meta tokens, connector and gated refinement by the user vector (ICG, reconstructed; see DECISIONS).

K learnable meta tokens are read by a frozen language model behind title and image; a small bidirectional transformer turns
their states into what the denoiser wants to be told; cross-attention to P tokens made from the user vector refines it behind
a gate that starts at zero. The zero user vector gives exactly the unpersonalised condition.

Knows widths; no language model, denoiser or data set. Legend: B images, K meta tokens, D language width, W own width,
L conditioning positions, C conditioning width, O pooled width, P user tokens, V = 2E user vector, T = L + 1 own positions.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional

from icg_tasks.backbones.denoisers.conditioning import Conditioning, ConditioningShape
from icg_tasks.contracts.errors import DataCorrupt

KIND = "adapter"
WEIGHTS, CONFIG = "adapter.safetensors", "config.json"
_REFINE_LAYERS = 2
_MOST = 65_536
_SATURATION = 0.1
"""Length of a user vector at which personalisation is three quarters on; single users have a root mean square length of 1."""


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """Widths and counts; ``pooled_width`` is 0 where the denoiser takes no pooled vector."""

    language_width: int
    num_meta_tokens: int
    width: int
    layers: int
    heads: int
    num_user_tokens: int
    user_width: int
    sequence_length: int
    sequence_width: int
    pooled_width: int

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = 0 if name == "pooled_width" else 1
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST:
                raise DataCorrupt(f"adapter config: {name} is {value!r}; expected a whole number from {least} to {_MOST}")
        if self.width % self.heads:
            raise DataCorrupt(f"adapter config: width {self.width} is no multiple of {self.heads} heads")

    @property
    def shape(self) -> ConditioningShape:
        """The denoiser it speaks to."""
        return ConditioningShape(length=self.sequence_length, width=self.sequence_width, pooled=self.pooled_width)


class IcgAdapter(nn.Module):
    """Weights and forward pass; everything here is trained."""

    def __init__(self, config: AdapterConfig, embedding_deviation: float = 0.02) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.meta_tokens = nn.Parameter(torch.randn(config.num_meta_tokens, config.language_width) * embedding_deviation)
        self.bring_in = nn.Linear(config.language_width, width)
        self.queries = nn.Parameter(torch.randn(config.sequence_length + 1, width) * 0.5)
        self.connector = nn.ModuleList(_Block(width, config.heads) for _ in range(config.layers))
        self.user_tokens = _UserTokens(config)
        self.refiner = nn.ModuleList(_Block(width, config.heads, crosses=True) for _ in range(_REFINE_LAYERS))
        self.gate = nn.Parameter(torch.zeros(width))
        self.last = nn.LayerNorm(width)
        self.to_sequence = nn.Linear(width, config.sequence_width)
        self.to_pooled = nn.Linear(width, config.pooled_width) if config.pooled_width else None
        self.sequence_mean = nn.Parameter(torch.zeros(config.sequence_length, config.sequence_width))

    @torch.no_grad()
    def start_at(self, teacher: Conditioning) -> None:
        """Begin at the mean of what the denoiser's own text encoder says [B, L, C], [B, O]."""
        self.sequence_mean.copy_(teacher.sequence.mean(0))
        self.to_sequence.bias.zero_()
        if self.to_pooled is not None:
            self.to_pooled.bias.copy_(teacher.pooled.mean(0))

    def forward(self, states_BKD: Tensor, users_BV: Tensor | None, scale: Tensor | float = 1.0) -> Conditioning:
        """What the denoiser is told: c = c(nobody) + scale x (c(user) - c(nobody)).

        Args:
            states_BKD: last hidden states of the meta tokens.
            users_BV: user vectors; None or zero rows = nobody special.
            scale: personalisation scale, one number or one per image [B].
        """
        hidden_BTW = self._connected(states_BKD)
        plain = self._told(hidden_BTW)
        if users_BV is None:
            return plain
        personal = self._told(hidden_BTW + self._refinement(hidden_BTW, users_BV))
        factor = torch.as_tensor(scale, dtype=hidden_BTW.dtype, device=hidden_BTW.device).expand(len(states_BKD))
        return Conditioning(
            sequence=plain.sequence + factor[:, None, None] * (personal.sequence - plain.sequence),
            pooled=plain.pooled + factor[:, None] * (personal.pooled - plain.pooled),
        )

    def _connected(self, states_BKD: Tensor) -> Tensor:
        read_BKW = self.bring_in(functional.layer_norm(states_BKD, states_BKD.shape[-1:]))
        hidden = torch.cat([self.queries.expand(len(states_BKD), -1, -1), read_BKW], dim=1)
        for block in self.connector:
            hidden = block(hidden)
        return hidden[:, : len(self.queries)]

    def _refinement(self, hidden_BTW: Tensor, users_BV: Tensor) -> Tensor:
        tokens_BPW, presence_B = self.user_tokens(users_BV.to(hidden_BTW.dtype))
        refined = hidden_BTW
        for block in self.refiner:
            refined = block(refined, tokens_BPW)
        change: Tensor = presence_B[:, None, None] * self.gate * (refined - hidden_BTW)
        return change

    def _told(self, hidden_BTW: Tensor) -> Conditioning:
        ready = self.last(hidden_BTW)
        sequence = self.to_sequence(ready[:, :-1]) + self.sequence_mean
        pooled = sequence.new_zeros((len(sequence), 0)) if self.to_pooled is None else self.to_pooled(ready[:, -1])
        return Conditioning(sequence=sequence, pooled=pooled)

    def files(self, *, half: bool = False, extra: dict[str, Any] | None = None) -> dict[str, bytes]:
        """config.json and adapter.safetensors as bytes; the same weights give the same bytes."""
        weights = {
            name: (value.half() if half else value.float()).detach().cpu().contiguous()
            for name, value in sorted(self.state_dict().items())
        }
        config = {"model_type": "icg_adapter", **(extra or {}), "adapter": asdict(self.config)}
        return {
            CONFIG: json.dumps(config, sort_keys=True, indent=1).encode(),
            WEIGHTS: safetensors.torch.save(weights),
        }

    @classmethod
    def load(cls, folder: Path | str) -> "IcgAdapter":
        """From a folder, float32, on the CPU; raises DataCorrupt where files are missing or do not fit."""
        path = Path(folder)
        try:
            config: dict[str, Any] = json.loads((path / CONFIG).read_text())
            adapter = cls(AdapterConfig(**config["adapter"]))
            weights = {name: value.float() for name, value in safetensors.torch.load_file(path / WEIGHTS).items()}
            adapter.load_state_dict(weights)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise DataCorrupt(f"no usable ICG adapter in {path} ({error}); fetch the version again or retrain") from error
        return adapter


class _Block(nn.Module):
    """Pre-norm transformer block: self-attention, cross-attention where wanted, feed-forward."""

    def __init__(self, width: int, heads: int, *, crosses: bool = False) -> None:
        super().__init__()
        self.attend = _Attention(width, heads)
        self.cross = _Attention(width, heads) if crosses else None
        self.norm = nn.LayerNorm(width)
        self.widen, self.narrow = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)

    def forward(self, hidden_BTW: Tensor, others_BPW: Tensor | None = None) -> Tensor:
        """Another state of the same shape."""
        hidden_BTW = hidden_BTW + self.attend(hidden_BTW, None)
        if self.cross is not None:
            hidden_BTW = hidden_BTW + self.cross(hidden_BTW, others_BPW)
        fed: Tensor = self.narrow(functional.gelu(self.widen(self.norm(hidden_BTW))))
        return hidden_BTW + fed


class _Attention(nn.Module):
    """Multi-head attention to oneself or to others."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query, self.both, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)

    def forward(self, hidden_BTW: Tensor, others_BPW: Tensor | None) -> Tensor:
        """What is added to the state."""
        own = self.norm(hidden_BTW)
        keys, values = self.both(own if others_BPW is None else others_BPW).chunk(2, dim=-1)
        mixed = functional.scaled_dot_product_attention(self._split(self.query(own)), self._split(keys), self._split(values))
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _split(self, rows_BTW: Tensor) -> Tensor:
        count, length, width = rows_BTW.shape
        return rows_BTW.view(count, length, self.heads, width // self.heads).transpose(1, 2)


class _UserTokens(nn.Module):
    """User vector to P tokens and a presence in [0, 1): direction and length apart, since a segment's centroid is shorter
    than its users' vectors though it is surer. No vector, no presence."""

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        self.count = config.num_user_tokens
        self.first = nn.Linear(config.user_width, 2 * config.width)
        self.second = nn.Linear(2 * config.width, config.num_user_tokens * config.width)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, users_BV: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B, P, W] and presence [B]."""
        length_B = users_BV.norm(dim=-1)
        direction_BV = users_BV / length_B.clamp(min=1e-6)[:, None] * users_BV.shape[-1] ** 0.5
        tokens = self.second(functional.gelu(self.first(direction_BV))).unflatten(-1, (self.count, -1))
        presence_B = 1 - torch.exp(-length_B.square() / (0.72 * _SATURATION**2))
        return self.norm(tokens), presence_B
