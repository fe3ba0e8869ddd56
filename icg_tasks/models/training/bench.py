"""A module in training: AdamW, clipped gradients, averaged weights for serving, and all of it saved and taken up again.

Knows modules; nothing of losses or data.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

_BETAS = (0.9, 0.99)
_EPSILON = 1e-8


class Bench:
    """Optimiser state and averaged weights of a module's trainable parameters."""

    def __init__(
        self,
        module: nn.Module,
        *,
        learning_rate: float,
        average_decay: float,
        weight_decay: float = 0.01,
        clip_norm: float = 1.0,
        share: Callable[[Sequence[Tensor]], None] | None = None,
    ) -> None:
        self.module = module
        self.learning_rate, self.average_decay = learning_rate, average_decay
        self.weight_decay, self.clip_norm = weight_decay, clip_norm
        self.steps = 0
        self._share = share  # gives the parameters the gradient of all processes before it is clipped
        self._trained = {name: part for name, part in module.named_parameters() if part.requires_grad}
        self._mean = {name: torch.zeros_like(part) for name, part in self._trained.items()}
        self._square = {name: torch.zeros_like(part) for name, part in self._trained.items()}
        self.average = {name: part.detach().clone() for name, part in self._trained.items()}

    def step(self, loss: Tensor, pace: float = 1.0) -> float:
        """One update; ``pace`` scales the learning rate. Returns the norm of the gradient before clipping.

        A loss that is not a number changes nothing and returns NaN.
        """
        for part in self._trained.values():
            part.grad = None
        torch.autograd.backward(loss)
        if self._share is not None:
            self._share(list(self._trained.values()))
        norm = float(nn.utils.clip_grad_norm_(self._trained.values(), self.clip_norm))
        if math.isfinite(norm):
            self._update(pace)
        return norm

    @torch.no_grad()
    def _update(self, pace: float) -> None:
        """AdamW (Loshchilov and Hutter, algorithm 2), then one step of the average."""
        self.steps += 1
        rate = self.learning_rate * pace
        first, second = 1 - _BETAS[0] ** self.steps, 1 - _BETAS[1] ** self.steps
        decay = min(self.average_decay, (1 + self.steps) / (10 + self.steps))
        for name, part in self._trained.items():
            if part.grad is not None:
                mean, square = self._mean[name], self._square[name]
                mean.lerp_(part.grad, 1 - _BETAS[0])
                square.mul_(_BETAS[1]).addcmul_(part.grad, part.grad, value=1 - _BETAS[1])
                part.mul_(1 - rate * self.weight_decay)
                part.addcdiv_(mean, (square / second).sqrt_().add_(_EPSILON), value=-rate / first)
            self.average[name].lerp_(part, 1 - decay)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that ``take_up`` needs besides ``steps``."""
        groups: dict[str, Mapping[str, Tensor]] = {
            "weights": self._trained,
            "average": self.average,
            "mean": self._mean,
            "square": self._square,
        }
        return {f"{group}.{name}": part for group, parts in groups.items() for name, part in parts.items()}

    @torch.no_grad()
    def take_up(self, tensors: Mapping[str, Tensor], steps: int) -> None:
        """Continue from saved tensors."""
        for name, part in self.tensors().items():
            part.copy_(tensors[name])
        self.steps = steps
