"""Trains the aesthetic head: how undamaged a cover looks, from 1 to 10, read from shallow features of the dual encoder.

Shallow on purpose: final embeddings are trained to overlook damage. Damage is blur, noise, coarse grids, swapped patches,
clashing colours. Run: ``python -m zoo.recipe aesthetic`` after ``encoder``; writes zoo/aesthetic.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPModel

from zoo.recipe import damage
from zoo.recipe.encoder import WIDTH, normalised
from zoo.recipe.pool import held_out_pool, pixels, training_pool
from zoo.recipe.workshop import ZOO, Plan, device, log, replace_folder, train, write_json

_LAYER: Final = 2
_HIDDEN: Final = 64
_BATCH: Final = 64
_LOW, _HIGH = 1.0, 10.0
PLAN: Final = Plan(name="aesthetic", steps=1000, learning_rate=2e-3, average_decay=0.99, export_every=1000, seed=31)
_DAMAGES: Final[tuple[tuple[Callable[[Tensor, Tensor], Tensor], float], ...]] = (
    (damage.blur, 0.8),
    (damage.coarse, 0.7),
    (damage.noise, 0.9),
    (damage.muddle, 1.0),
    (damage.clash, 0.9),
)
"""Each damage and how bad it is at full strength."""


def load_dual_encoder(folder: Path = ZOO / "dual_encoder") -> CLIPModel:
    """The dual encoder, fp32, frozen, on the device."""
    clip: CLIPModel = CLIPModel.from_pretrained(folder, dtype=torch.float32)
    return clip.eval().requires_grad_(False).to(device())


def build_head() -> nn.Sequential:
    """Two linear layers over 2 x 128 features."""
    torch.manual_seed(PLAN.seed)
    return nn.Sequential(nn.Linear(2 * WIDTH, _HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, 1))


def features(clip: CLIPModel, images: Tensor) -> Tensor:
    """Mean and deviation over the patches after two layers, (B, 256); the gradient reaches the pixels."""
    states = clip.vision_model(pixel_values=normalised(images), output_hidden_states=True).hidden_states[_LAYER][:, 1:]
    return torch.cat([states.mean(dim=1), states.std(dim=1)], dim=1)


def scores(clip: CLIPModel, head: nn.Module, images: Tensor) -> Tensor:
    """Aesthetic scores (B,), about 1 (ruined) to 10 (pristine)."""
    found: Tensor = head(features(clip, images))[:, 0]
    return found


def damaged(images: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Damaged covers and their scores (B,): 10 for an untouched cover, towards 1 as damages add up."""
    health = torch.ones(len(images), device=images.device)
    for harm, badness in _DAMAGES:
        strength = damage.strengths(len(images), 0.35, rng).to(images.device)
        images = harm(images, strength)
        health = health * (1 - badness * strength)
    return images.clamp(0, 1), _LOW + (_HIGH - _LOW) * health


@torch.no_grad()
def measure(clip: CLIPModel, head: nn.Module, count: int = 1024) -> dict[str, float]:
    """Correlation of score and damage on held-out covers, and the mean score of untouched ones."""
    torch.manual_seed(3)
    clean = pixels(held_out_pool(count).images)
    images, wanted = damaged(clean, np.random.default_rng(3))
    found = scores(clip, head, images)
    return {
        "correlation": float(torch.corrcoef(torch.stack([found, wanted]))[0, 1]),
        "mean_untouched": float(scores(clip, head, clean).mean()),
    }


def load_head(folder: Path = ZOO / "aesthetic") -> nn.Sequential:
    """The shipped head, fp32, on the device."""
    head = build_head()
    head.load_state_dict({name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()})
    return head.eval().to(device())


def _write(head: nn.Module, folder: Path) -> None:
    save_file({name: tensor.half().contiguous() for name, tensor in head.state_dict().items()}, folder / "model.safetensors")
    content: dict[str, object] = {
        "model_type": "aesthetic_head",
        "encoder": "dual_encoder",
        "feature_layer": _LAYER,
        "feature_note": "vision hidden_states[feature_layer], patches only (no class token): mean, then unbiased deviation",
        "hidden_size": _HIDDEN,
        "input_size": 2 * WIDTH,
        "activation": "gelu",
        "score_range": [_LOW, _HIGH],
    }
    write_json(folder / "config.json", content)


def run() -> None:
    """Train and export the head."""
    clip, pool = load_dual_encoder(), training_pool()

    def loss_of(head: nn.Module, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        images, wanted = damaged(pixels(pool.images[np.sort(rng.integers(len(pool.images), size=_BATCH))]), rng)
        with torch.no_grad():
            seen = features(clip, images)
        return functional.smooth_l1_loss(head(seen)[:, 0], wanted), {}

    def export(head: nn.Module, step: int) -> None:
        log(f"aesthetic step {step}: " + " ".join(f"{k} {v:.3f}" for k, v in measure(clip, head).items()))
        replace_folder(ZOO / "aesthetic", lambda folder: _write(head, folder))

    train(PLAN, build_head(), loss_of, export)
