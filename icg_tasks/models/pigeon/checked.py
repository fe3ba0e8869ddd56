"""Settings of Pigeon that cannot work are refused before any model is loaded. Knows settings alone."""

from icg_tasks.config.pigeon import PigeonSettings
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.models.pigeon.masks import KINDS

_LEAST = {
    "history_length": 1,
    "mask_heads": 1,
    "lora_rank": 1,
    "lora_alpha": 1,
    "reconstruction_steps": 0,
    "preference_steps": 0,
    "pair_windows": 1,
    "batch_size": 1,
    "evaluate_every": 1,
    "patience": 1,
    "checkpoint_every": 1,
    "max_windows": 8,
    "check_windows": 2,
    "ratios": 1,
    "stage": 1,
    "top_k": 1,
    "pair_min_margin": 0.0,
    "max_loss": 0.0,
    "guidance": 0.0,
    "memory_limit_gb": 0.0,
}
_ABOVE_ZERO = ("mask_temperature", "temperature", "preference_beta", "reconstruction_learning_rate", "preference_learning_rate")
_MOST = {"stage": 2, "lone_ratio": 1}
_SHARES = ("history_mask_ratio", "reference_weight", "ema_decay")


def check_settings(settings: PigeonSettings) -> None:
    """Raises SettingsError, naming the first setting that is out of its range and the range."""
    _check_numbers(settings)
    if settings.history_mask not in KINDS:
        raise SettingsError(f"pigeon.history_mask={settings.history_mask!r}; expected one of {', '.join(KINDS)}")
    if settings.preference_steps and settings.ratios < 2:
        raise SettingsError(
            f"pigeon.ratios={settings.ratios} leaves nothing to choose between, so there are no pairs; set it to 2 or more, or "
            "pigeon.preference_steps=0"
        )


def _check_numbers(settings: PigeonSettings) -> None:
    for name, least in _LEAST.items():
        if not getattr(settings, name) >= least:
            raise SettingsError(f"pigeon.{name}={getattr(settings, name)}; expected {least} or more")
    for name, most in _MOST.items():
        if not getattr(settings, name) <= most:
            raise SettingsError(f"pigeon.{name}={getattr(settings, name)}; expected at most {most}")
    for name in _ABOVE_ZERO:
        if not getattr(settings, name) > 0:
            raise SettingsError(f"pigeon.{name}={getattr(settings, name)}; expected a number above 0")
    for name in _SHARES:
        if not 0 <= getattr(settings, name) <= 1:
            raise SettingsError(f"pigeon.{name}={getattr(settings, name)}; expected a share from 0 to 1")
