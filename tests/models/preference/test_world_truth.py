"""The most telling test: on a simulated world, scores of crowds rank looks as the crowds' true tastes do."""

from datetime import date, timedelta

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from scipy.stats import spearmanr

from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.config.settings import FeatureSettings, PreferenceSettings, WorldSettings
from icg_tasks.features.vector_formula import decay, global_scale, shrunken
from icg_tasks.models.preference.fit import fit_network
from icg_tasks.models.preference.network import PreferenceConfig
from icg_tasks.models.preference.samples import Samples
from icg_tasks.world import ATTRIBUTE_VALUES, CoverAttributes, all_looks, draw_cover
from icg_tasks.world.days import cast_of, live, population
from icg_tasks.world.items import shelf
from icg_tasks.world.positions import SLOTS
from icg_tasks.world.readers import readers

WORLD = WorldSettings(
    seed=101, num_users=4_000, impressions_per_day=40_000, num_items=480, new_items_per_day=1, new_users_per_day=10
)
DAYS = [date(2026, 1, 1) + timedelta(days=number) for number in range(7)]
SUBJECTS = ("rocket", "flower")
FIRST = {"palette": 0, "layout": 8, "texture": 12, "density": 16}  # columns of a reader's look


def seen(encoder, images):
    parts = []
    for start in range(0, len(images), 64):
        pixels = torch.from_numpy(np.stack(images[start : start + 64])).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            parts.append(encoder.embed_images(pixels).numpy())
    return np.concatenate(parts)


@pytest.fixture(scope="module")
def encoder():
    torch.set_num_threads(1)
    return DualEncoder.load(resolve_checkpoint("zoo:dual_encoder"))


@pytest.fixture(scope="module")
def lived(encoder):
    """Rows of all days with the users' vectors of the day before, and the vectors after the last day."""
    items = {item.item_id: item for day in DAYS for item in shelf(WORLD, day).items}
    names = sorted(items)
    with torch.no_grad():
        titles = encoder.embed_texts([items[name].title for name in names]).numpy()
    covers = np.concatenate([seen(encoder, [items[name].draw() for name in names]), titles], axis=1)
    row_of = {name: row for row, name in enumerate(names)}
    first, _ = population(WORLD, DAYS[0])
    _, last = population(WORLD, DAYS[-1])
    features, people = FeatureSettings(), last - first
    sums, weights, tables, columns = np.zeros((people, covers.shape[1])), np.zeros(people), [], []
    for number, day in enumerate(DAYS):
        cast = cast_of(WORLD, day)
        rows = live(WORLD, day, cast)
        user = rows.user_N + population(WORLD, day)[0] - first
        item = np.array([row_of[entry.item_id] for entry in cast.shelf.items])[rows.item_N]
        slot, clicked = rows.surface_N * SLOTS + rows.position_N, rows.clicked_N.astype(np.float32)
        tables.append(shrunken(sums, weights, features.prior_weight).astype(np.float32))
        columns.append((user + number * people, item, user, slot + 1, clicked))
        rate = (np.bincount(slot, clicked) / np.bincount(slot))[slot]
        one_day = decay(1, features.half_life_days)
        sums = sums * one_day + csr_matrix((clicked - rate, (user, item)), shape=(people, len(names))) @ covers
        weights = weights * one_day + np.bincount(user, rate * (1 - rate), people)
    after = shrunken(sums, weights, features.prior_weight).astype(np.float32)
    scale = np.float32(global_scale(after))
    user_R, item_R, group_R, slot_R, clicked_R = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    samples = Samples(
        users_UV=np.concatenate(tables) * scale,
        covers_NV=covers,
        item_ids=names,
        user_ids=[str(number) for number in range(people)],
        user_R=user_R,
        cover_R=item_R,
        item_R=item_R,
        group_R=group_R,
        slot_R=slot_R,
        clicked_R=clicked_R,
        weight_R=np.ones(len(user_R), dtype=np.float32),
    )
    return samples, after * scale, readers(WORLD.seed, first, last), titles, [items[name] for name in names]


def test_scores_of_crowds_rank_looks_as_their_true_tastes_do(lived, encoder):
    samples, vectors, people, titles, items = lived
    pause = samples.group_R % 10 == 0
    settings = PreferenceSettings()
    config = PreferenceConfig(width=encoder.embedding_width, rank=settings.rank, num_slots=int(samples.slot_R.max()) + 1)
    network = fit_network(config, samples.where(~pause), samples.where(pause), settings, lambda text: None, lambda: None)
    looks = all_looks()
    kinds = np.unique(people.archetype_U)
    score, truth = [], []
    for subject in SUBJECTS:
        images = [draw_cover(CoverAttributes(subject=subject, look=look), seed=900 + row) for row, look in enumerate(looks)]
        title = titles[next(row for row, item in enumerate(items) if item.attributes.subject == subject)]
        shown = torch.from_numpy(
            np.concatenate([seen(encoder, images), np.broadcast_to(title, (len(looks), len(title)))], axis=1)
        )
        centroids = [torch.from_numpy(vectors[people.archetype_U == kind].mean(axis=0)) for kind in kinds]
        score.append([network.served(centroid.expand(len(looks), -1), shown).numpy() for centroid in centroids])
        tastes = [people.look_UL[people.archetype_U == kind].mean(axis=0) for kind in kinds]
        places = [
            [first + ATTRIBUTE_VALUES[name].index(getattr(look, name)) for name, first in FIRST.items()] for look in looks
        ]
        truth.append([taste[np.array(places)].sum(axis=1) for taste in tastes])
    score, truth = np.array(score), np.array(truth)  # subjects, kinds, looks
    personal = score - score.mean(axis=1, keepdims=True), truth - truth.mean(axis=1, keepdims=True)
    shape = len(SUBJECTS) * len(kinds)
    plain = [spearmanr(*pair)[0] for pair in zip(score.reshape(shape, -1), truth.reshape(shape, -1), strict=True)]
    own = [spearmanr(*pair)[0] for pair in zip(*(part.reshape(shape, -1) for part in personal), strict=True)]
    print(f"look {np.mean(plain):.3f} (least {np.min(plain):.3f}), own {np.mean(own):.3f} (least {np.min(own):.3f})")
    assert np.mean(plain) > 0.7
    assert np.mean(own) > 0.7
    chosen = np.take_along_axis(truth, score.argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
    assert (chosen - truth.mean(axis=2)).mean() > 0.7 * (truth.max(axis=2) - truth.mean(axis=2)).mean()
