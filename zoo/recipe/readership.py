"""Simulated readerships for the warm adapter: worlds of other seeds, their users' vectors, segments and a preference model.

Uses clicks alone, never the oracle. User vectors follow the product's formula; the preference model is the product's own.
Nothing to run here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import torch
from numpy.typing import NDArray

from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.config.settings import PreferenceSettings, WorldSettings
from icg_tasks.features.vector_formula import global_scale, shrunken
from icg_tasks.models.preference.fit import fit_network, predicted
from icg_tasks.models.preference.model import PreferenceModel
from icg_tasks.models.preference.network import PreferenceConfig
from icg_tasks.models.preference.samples import Samples
from icg_tasks.world.days import Shown, cast_of, live
from icg_tasks.world.items import Shelf
from zoo.recipe.workshop import log

Floats = NDArray[np.float32]
_DAYS = 10
_FIRST_TRAINED_DAY = 4
_PRIOR_WEIGHT = 20.0
_RATE_PRIOR = 100.0
_LAST_DAY = date(2026, 3, 10)


@dataclass(frozen=True, kw_only=True)
class Readership:
    """``users_UV`` have a mean squared length of 1; ``covers_IV`` are image and title vectors of the items of ``shelf``."""

    shelf: Shelf
    users_UV: Floats
    covers_IV: Floats
    preference: PreferenceModel


def simulate(seed: int, encoder: DualEncoder, *, num_users: int = 6_000, num_items: int = 480) -> Readership:
    """Ten days of a world of this seed, about five impressions per user and day."""
    settings = WorldSettings(
        seed=seed, num_items=num_items, new_items_per_day=1, num_users=num_users, new_users_per_day=1,
        impressions_per_day=5 * num_users,
    )  # fmt: skip
    cast = cast_of(settings, _LAST_DAY)
    covers = _embedded(cast.shelf, encoder)
    days = [live(settings, _LAST_DAY - timedelta(days=back), cast) for back in range(_DAYS - 1, -1, -1)]
    users, scale, samples = _samples(days, covers, num_users)
    preference = _preference(samples, encoder)
    log(f"readership {seed}: {len(samples)} rows, vectors scaled by {scale:.2f}")
    return Readership(shelf=cast.shelf, users_UV=users, covers_IV=covers, preference=preference)


def _embedded(shelf: Shelf, encoder: DualEncoder) -> Floats:
    images = torch.from_numpy(np.stack([item.draw() for item in shelf.items])).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        seen = torch.cat([encoder.embed_images(chunk) for chunk in images.split(64)])
        said = torch.cat([encoder.embed_texts([item.title for item in shelf.items[at : at + 64]])
                          for at in range(0, len(shelf.items), 64)])  # fmt: skip
    return np.asarray(torch.cat([seen, said], dim=1).numpy(), dtype=np.float32)


def _residuals(day: Shown) -> tuple[Floats, Floats]:
    """Clicked less the smoothed click rate of the place, and its information p(1 - p)."""
    place = day.surface_N * 1_000 + day.position_N
    _, where = np.unique(place, return_inverse=True)
    shown, clicks = np.bincount(where), np.bincount(where, day.clicked_N)
    rate = ((clicks + _RATE_PRIOR * day.clicked_N.mean()) / (shown + _RATE_PRIOR))[where]
    return (day.clicked_N - rate).astype(np.float32), (rate * (1 - rate)).astype(np.float32)


def _samples(days: list[Shown], covers: Floats, num_users: int) -> tuple[Floats, float, Samples]:
    """Final user vectors, their scale, and rows with the vectors as they stood before each day."""
    total, weight = np.zeros((num_users, covers.shape[1]), dtype=np.float32), np.zeros(num_users)
    tables, rows = [np.zeros((1, covers.shape[1]), dtype=np.float32)], []
    for number, day in enumerate(days):
        if number >= _FIRST_TRAINED_DAY:
            rows.append((day, 1 + num_users * len(rows)))
            tables.append(np.asarray(shrunken(total, weight, _PRIOR_WEIGHT), dtype=np.float32))
        residual, information = _residuals(day)
        for start in range(0, len(day), 65_536):
            part = slice(start, start + 65_536)
            np.add.at(total, day.user_N[part], residual[part, None] * covers[day.item_N[part]])
        weight += np.bincount(day.user_N, information, num_users)
    users = np.asarray(shrunken(total, weight, _PRIOR_WEIGHT), dtype=np.float32)
    scale = global_scale(users)
    columns = {
        "user_R": np.concatenate([first + day.user_N for day, first in rows]),
        "cover_R": np.concatenate([day.item_N for day, _ in rows]),
        "group_R": np.concatenate([day.user_N for day, _ in rows]),
        "slot_R": np.concatenate([day.surface_N * 10 + day.position_N + 1 for day, _ in rows]),
        "clicked_R": np.concatenate([day.clicked_N for day, _ in rows]).astype(np.float32),
    }
    samples = Samples(
        users_UV=np.concatenate(tables) * np.float32(scale),
        covers_NV=covers,
        item_ids=[str(number) for number in range(len(covers))],
        user_ids=[str(number) for number in range(num_users)],
        item_R=columns["cover_R"],
        weight_R=np.ones(len(columns["user_R"]), dtype=np.float32),
        **columns,
    )
    return users * np.float32(scale), scale, samples


def _preference(samples: Samples, encoder: DualEncoder) -> PreferenceModel:
    paused = samples.group_R % 10 == 0
    settings = PreferenceSettings()
    config = PreferenceConfig(width=encoder.embedding_width, rank=settings.rank, num_slots=31)
    validation = samples.where(paused)
    network = fit_network(config, samples.where(~paused), validation, settings, log, lambda: None)
    served = predicted(network, validation, served=True)
    return PreferenceModel(
        network=network,
        encoder=encoder.identity,
        score_mean=float(served.mean()),
        score_deviation=float(served.std()),
    )


def segments(users_UV: Floats, count: int, seed: int) -> NDArray[np.int64]:
    """Segment number of each user: k-means on the 24 principal directions."""
    rng = np.random.default_rng(seed)
    centred = users_UV - users_UV.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    points = centred @ directions[:, -24:]
    centres = points[rng.choice(len(points), count, replace=False)]
    nearest = np.zeros(len(points), dtype=np.int64)
    for _ in range(25):
        nearest = ((centres**2).sum(1) - 2 * points @ centres.T).argmin(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, points)
        filled = np.bincount(nearest, minlength=count)
        centres = np.where(filled[:, None] > 0, sums / np.maximum(filled, 1)[:, None], centres)
    return nearest


def centroids(users_UV: Floats, count: int, seed: int) -> Floats:
    """Mean vectors [count, V] of the segments."""
    nearest = segments(users_UV, count, seed)
    return np.stack([users_UV[nearest == number].mean(axis=0) if (nearest == number).any() else users_UV.mean(axis=0)
                     for number in range(count)])  # fmt: skip
