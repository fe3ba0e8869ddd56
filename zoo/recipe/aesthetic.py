"""Trains the aesthetic head: how undamaged a cover looks, from 1 to 10, read from shallow features of the dual encoder.

Shallow on purpose: final embeddings are trained to overlook damage. Damage is blur, noise, coarse grids, swapped patches,
clashing colours. Run: ``python -m zoo.recipe aesthetic`` after ``encoder``; writes zoo/aesthetic.
"""

from __future__ import annotations

import copy
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
_BATCH: Final = 128
_LESSON: Final = 12_288
_LOW, _HIGH = 1.0, 10.0
PLAN: Final = Plan(
    name="aesthetic", steps=4000, learning_rate=2e-3, weight_decay=0.1, export_every=4000, save_every=4000, seed=31
)
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


@torch.no_grad()
def _lesson(clip: CLIPModel) -> tuple[Tensor, Tensor]:
    """Features (N, 256) of damaged covers of the training pool and their scores (N,)."""
    torch.manual_seed(PLAN.seed)
    rng = np.random.default_rng(PLAN.seed)
    seen, wanted = [], []
    for start in range(0, _LESSON, 128):
        images, scored = damaged(pixels(training_pool().images[start : start + 128]), rng)
        seen.append(features(clip, images))
        wanted.append(scored)
    return torch.cat(seen), torch.cat(wanted)


def _with_standardising(head: nn.Sequential, mean: Tensor, deviation: Tensor) -> nn.Sequential:
    """The same head for raw features: the standardising is folded into its first layer."""
    folded = copy.deepcopy(head)
    first = folded[0]
    if isinstance(first, nn.Linear):
        with torch.no_grad():
            first.weight.copy_(first.weight / deviation)
            first.bias.copy_(first.bias - first.weight @ mean)
    return folded.eval()


def run() -> None:
    """Train and export the head."""
    clip = load_dual_encoder()
    seen, wanted = _lesson(clip)
    mean, deviation = seen.mean(dim=0), seen.std(dim=0) + 1e-4
    standard = (seen - mean) / deviation

    def loss_of(head: nn.Sequential, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        rows = torch.from_numpy(rng.integers(len(standard), size=_BATCH)).to(device())
        return functional.smooth_l1_loss(head(standard[rows])[:, 0], wanted[rows]), {}

    def export(head: nn.Sequential, step: int) -> None:
        shipped = _with_standardising(head, mean, deviation)
        log(f"aesthetic step {step}: " + " ".join(f"{k} {v:.3f}" for k, v in measure(clip, shipped).items()))
        replace_folder(ZOO / "aesthetic", lambda folder: _write(shipped, folder))

    train(PLAN, build_head(), loss_of, export)
