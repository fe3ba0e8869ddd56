"""Trains two classifiers that never meet: the judge that measures and the eye of the oracle.

They differ in width, depth, seed, covers and augmentation. Run: ``python -m zoo.recipe judges``;
writes zoo/judge and zoo/oracle_eye.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from icg_tasks.world.attributes import ATTRIBUTE_VALUES
from icg_tasks.world.eye import AttributeClassifier, EyeConfig
from zoo.recipe.damage import augmented
from zoo.recipe.pool import draw_pool, held_out_pool, pixels
from zoo.recipe.workshop import ZOO, Plan, device, half_precision, log, portions, replace_folder, train


@dataclass(frozen=True, kw_only=True)
class _Pupil:
    plan: Plan
    config: EyeConfig
    pool_seed: int
    softness: float
    grain: float
    colour: float


_PUPILS: Final = (
    _Pupil(
        plan=Plan(name="judge", steps=1000, learning_rate=2e-3, seed=101, average_decay=0.99, export_every=1000),
        config=EyeConfig(width=16, stages=3),
        pool_seed=3_000_000,
        softness=0.5,
        grain=0.5,
        colour=0.5,
    ),
    _Pupil(
        plan=Plan(name="oracle_eye", steps=1200, learning_rate=1.5e-3, seed=202, average_decay=0.99, export_every=1200),
        config=EyeConfig(width=12, stages=4),
        pool_seed=5_000_000,
        softness=0.7,
        grain=0.3,
        colour=0.3,
    ),
)
_BATCH: Final = 64
_POOL: Final = 16_384


@torch.no_grad()
def attribute_hits(eye: AttributeClassifier, images: Tensor, indices: Tensor) -> Tensor:
    """(B, 5) booleans: the classifier reads the attribute that ``indices`` (B, 5) names."""
    read = [{name: logits.argmax(dim=1) for name, logits in eye(chunk).items()} for chunk in portions(images, 128)]
    columns = [torch.cat([one[name] for one in read]) == indices[:, column] for column, name in enumerate(ATTRIBUTE_VALUES)]
    return torch.stack(columns, dim=1)


def measure(eye: AttributeClassifier, count: int = 1024) -> dict[str, float]:
    """Accuracy per attribute on held-out covers."""
    pool = held_out_pool(count)
    hits = attribute_hits(eye, pixels(pool.images), torch.from_numpy(pool.indices).to(device())).float().mean(dim=0)
    return dict(zip(ATTRIBUTE_VALUES, hits.tolist(), strict=True))


def _train_one(pupil: _Pupil) -> None:
    pool = draw_pool(_POOL, pupil.pool_seed)
    torch.manual_seed(pupil.plan.seed)

    def loss_of(eye: AttributeClassifier, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        rows = rng.integers(len(pool.images), size=_BATCH)
        images = augmented(pixels(pool.images[rows]), rng, softness=pupil.softness, grain=pupil.grain, colour=pupil.colour)
        indices = torch.from_numpy(pool.indices[rows]).to(device())
        with half_precision():
            logits = eye(images)
        losses = [
            functional.cross_entropy(logits[name].float(), indices[:, column], label_smoothing=0.02)
            for column, name in enumerate(ATTRIBUTE_VALUES)
        ]
        return torch.stack(losses).sum(), {}

    def export(eye: AttributeClassifier, step: int) -> None:
        log(f"{pupil.plan.name} step {step}: " + " ".join(f"{k} {v:.4f}" for k, v in measure(eye).items()))
        replace_folder(ZOO / pupil.plan.name, eye.save_to_folder)

    train(pupil.plan, AttributeClassifier(pupil.config), loss_of, export)


def plans() -> tuple[Plan, ...]:
    """How long and how fast each of the two was trained."""
    return tuple(pupil.plan for pupil in _PUPILS)


def run() -> None:
    """Train both, one after the other."""
    for pupil in _PUPILS:
        _train_one(pupil)
