"""Does the preference model point where the embedded world's tastes point? The most telling figure of the whole pipeline.

For each segment, ranks the catalogue's own covers, and fresh covers of the same subject in other looks, by the model's score of
the centroid, and compares with the mean true logit of the segment's users. Prints one JSON line and writes RESULTS.md. Needs a
store on which train-preference (and, where there, assign-segments) has run; ICG_PSEUDONYM_KEY as in the simulation.
Run: ``python -m benchmarks.preference_truth --run-date 2026-03-10 [--set store=… --set world.seed=…]``.
"""

import argparse
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.results import write_section
from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.config import Settings, load_settings
from icg_tasks.contracts.partitions import ITEM_FEATURES, USER_SEGMENTS, USERS
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.lake.partitions import find_partition, read_partition
from icg_tasks.lake.registry import fetch_version, require_champion
from icg_tasks.lake.store import ObjectStore, open_store
from icg_tasks.models.preference.model import KIND, PreferenceModel
from icg_tasks.models.preference.shown import vector_matrix
from icg_tasks.world import ATTRIBUTE_VALUES, SUBJECTS, CoverAttributes, all_looks, draw_cover
from icg_tasks.world.items import shelf
from icg_tasks.world.oracle import Oracle

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
_FALLBACK_SEGMENTS = 12
_FIRST_SEED = 60_000_000


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """A segment: its users and the mean of their vectors."""

    name: str
    user_ids: list[str]
    centroid: NDArray[np.float32]


def crowds(store: ObjectStore, run_date: date) -> list[Crowd]:
    """The day's segments, or where they are not there yet, k-means in the first 24 principal directions."""
    table = read_partition(store, USERS, run_date)
    names = np.array(table["user_id"].to_pylist())
    vectors = vector_matrix(table["vector"], len(table["vector"][0]), USERS)
    if find_partition(store, USER_SEGMENTS, run_date) is None:
        labels = _k_means(vectors, _FALLBACK_SEGMENTS).astype(str)
    else:
        pairs = read_partition(store, USER_SEGMENTS, run_date)
        of = dict(zip(pairs["user_id"].to_pylist(), pairs["segment_id"].to_pylist(), strict=True))
        labels = np.array([of.get(name, EVERYONE) for name in names])
    return [
        Crowd(name=str(label), user_ids=names[labels == label].tolist(), centroid=vectors[labels == label].mean(axis=0))
        for label in np.unique(labels)
        if label != EVERYONE
    ]


def _k_means(vectors: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    centred = vectors - vectors.mean(axis=0)
    directions = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :24]
    points = vectors @ directions
    centres = points[np.random.default_rng(1).choice(len(points), count, replace=False)]
    labels = np.zeros(len(points), dtype=np.int64)
    for _ in range(20):
        labels = (points @ centres.T - 0.5 * (centres**2).sum(axis=1)).argmax(axis=1)
        centres = np.stack(
            [points[labels == row].mean(axis=0) if (labels == row).any() else centres[row] for row in range(count)]
        )
    return labels


def fresh_covers(encoder: DualEncoder, subjects: list[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Unit vectors and one-hot attributes of every look of each subject, [subjects x looks, ·]."""
    wanted = [CoverAttributes(subject=subject, look=look) for subject in subjects for look in all_looks()]
    vectors = []
    for start in range(0, len(wanted), 64):
        images = [
            draw_cover(cover, seed=_FIRST_SEED + start + row, size=64) for row, cover in enumerate(wanted[start : start + 64])
        ]
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            vectors.append(encoder.embed_images(pixels).numpy())
    return np.concatenate(vectors), one_hot(wanted)


def one_hot(covers: list[CoverAttributes]) -> NDArray[np.float32]:
    """What a perfect eye sees, in the order of ATTRIBUTE_VALUES."""
    sizes = [len(values) for values in ATTRIBUTE_VALUES.values()]
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    found = np.zeros((len(covers), sum(sizes)), dtype=np.float32)
    for row, cover in enumerate(covers):
        found[row, offsets + np.array(cover.as_indices())] = 1.0
    return found


def measure(settings: Settings, run_date: date, subjects: list[str]) -> dict[str, float]:
    """Spearman correlations of score and truth, means over segments, and the share of the best look's gain that is reached."""
    store = open_store(settings.store)
    model = PreferenceModel.load(fetch_version(store, require_champion(store, KIND, run_date), Path(settings.work_folder)))
    oracle = Oracle.from_settings(settings, run_date)
    items = read_partition(store, ITEM_FEATURES, run_date)
    item_ids, covers = items["item_id"].to_pylist(), vector_matrix(items["vector"], 2 * model.width, ITEM_FEATURES)
    catalogue_shelf = shelf(settings.world, run_date)
    own = catalogue_shelf.features_IF[[catalogue_shelf.row_of[name] for name in item_ids]]
    encoder = DualEncoder.load(resolve_checkpoint(settings.backbones.encoder))
    if encoder.identity != model.encoder:
        raise SystemExit(f"encoder {encoder.identity} is not the one of the champion ({model.encoder}); run embed-items again")
    fresh, features = fresh_covers(encoder, subjects)
    groups = crowds(store, run_date)
    catalogue, score, truth = [], [], []
    for crowd in groups:
        found = _scores(model, crowd.centroid, covers[:, : model.width], covers[:, model.width :])
        users = crowd.user_ids[:400]
        true = oracle.click_logit(
            np.repeat(users, len(item_ids)).tolist(), item_ids * len(users), np.tile(own, (len(users), 1))
        )
        catalogue.append(spearmanr(found, true.reshape(len(users), -1).mean(axis=0))[0])
        rows, true_rows = [], []
        for number, subject in enumerate(subjects):
            item = next(row for row, name in enumerate(item_ids) if oracle.subject_of(name) == subject)
            part = slice(number * len(all_looks()), (number + 1) * len(all_looks()))
            titles = np.broadcast_to(covers[item, model.width :], (len(all_looks()), model.width))
            rows.append(_scores(model, crowd.centroid, fresh[part], titles))
            true_rows.append(oracle.segment_mean(users, item_ids[item], features[part]).logit_C)
        score.append(rows)
        truth.append(true_rows)
    return _summary(np.array(catalogue), np.array(score), np.array(truth)) | {"segments": float(len(groups))}


def _scores(model: PreferenceModel, centroid: Floats, images: Floats, titles: Floats) -> Doubles:
    users = torch.from_numpy(centroid).float().expand(len(images), -1)
    with torch.no_grad():
        found = model.score(users, torch.from_numpy(np.array(images)).float(), torch.from_numpy(np.array(titles)).float())
    return found.double().numpy()


def _summary(catalogue: Doubles, score_GSL: Doubles, truth_GSL: Doubles) -> dict[str, float]:
    """G segments, S subjects, L looks."""
    pairs = [(g, s) for g in range(score_GSL.shape[0]) for s in range(score_GSL.shape[1])]
    looks = [spearmanr(score_GSL[pair], truth_GSL[pair])[0] for pair in pairs]
    own_score, own_truth = score_GSL - score_GSL.mean(axis=0), truth_GSL - truth_GSL.mean(axis=0)
    personal = [spearmanr(own_score[pair], own_truth[pair])[0] for pair in pairs]
    chosen = np.take_along_axis(truth_GSL, score_GSL.argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
    mean = truth_GSL.mean(axis=2)
    return {
        "catalogue_spearman": float(catalogue.mean()),
        "catalogue_spearman_least": float(catalogue.min()),
        "look_spearman": float(np.mean(looks)),
        "look_spearman_least_segment": float(np.mean(np.array(looks).reshape(len(score_GSL), -1), axis=1).min()),
        "personal_look_spearman": float(np.mean(personal)),
        "gain_of_chosen_look": float((chosen - mean).mean()),
        "gain_of_best_look": float((truth_GSL.max(axis=2) - mean).mean()),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-date", type=date.fromisoformat, required=True)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--subjects", type=int, default=4, help="subjects of which all looks are drawn")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(load_settings("tiny", arguments.overrides), arguments.run_date, list(SUBJECTS[: arguments.subjects]))
    print(json.dumps({name: round(value, 4) for name, value in found.items()}))
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in found.items())
    write_section("Preference model against the world's truth", f"| figure | value |\n|---|---|\n{rows}")


if __name__ == "__main__":
    main()
