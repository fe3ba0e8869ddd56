"""Whether a step of Pigeon's training fits the memory there is: measured on one window, and a refusal with advice.

Knows a training's parts and settings; trains nothing.
"""

from dataclasses import dataclass

import torch

from icg_tasks.config.pigeon import PigeonSettings
from icg_tasks.models.pigeon.atelier import Atelier
from icg_tasks.models.pigeon.losses import reconstruction_loss
from icg_tasks.models.pigeon.model import Pigeon
from icg_tasks.models.pigeon.pairs import log_chances
from icg_tasks.models.pigeon.windows import Windows
from icg_tasks.models.training import room
from icg_tasks.models.training.memory import bytes_of, kept_for_backward, modules_of, tensors_of


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Bytes by what holds them; ``step`` are activations of the whole batch, of the stage that keeps more."""

    weights: int
    optimiser: int
    step: int

    def told(self) -> str:
        """One line."""
        return room.told(vars(self))


def estimate(atelier: Atelier, pigeon: Pigeon, windows: Windows) -> Budget:
    """From weights as they lie there, and from what one window keeps for the backward pass."""
    weights = tensors_of([*modules_of(pigeon.tokens), pigeon, *modules_of(atelier.encoder)])
    asked = atelier.covers.asked(windows.part([0]))
    plan = atelier.plan(torch.tensor([0.5]), [0], draws=True)
    with torch.enable_grad(), kept_for_backward(weights) as of_window:
        masks = pigeon.draw_masks(asked, plan)
        if atelier.settings.preference_steps:
            log_chances(pigeon, asked, masks, asked.reference_BN, asked.reference_BN)
        else:
            reconstruction_loss(pigeon.tokens, pigeon.prompt(asked, masks), asked.reference_BN)
    return Budget(
        weights=bytes_of(weights),
        optimiser=room.COPIES * bytes_of(list(pigeon.trained().values())),
        step=int(room.WORK * of_window.bytes * atelier.settings.batch_size),
    )


def require_room(budget: Budget, settings: PigeonSettings, device: torch.device) -> None:
    """Raise SettingsError with what would help, where the device has less than the estimate."""
    advice = [f"pigeon.batch_size={settings.batch_size // 2}"] if settings.batch_size > 1 else []
    advice += ["a shorter pigeon.history_length"] if settings.history_length > 1 else []
    room.require_room(
        vars(budget),
        f"a step of {settings.batch_size} windows",
        limit_gb=settings.memory_limit_gb,
        setting="pigeon.memory_limit_gb",
        device=device,
        advice=[*advice, "a smaller token model"],
    )
