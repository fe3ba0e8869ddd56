"""Cold start: what a user, or a segment, never seen in training gets from its first 1, 2, 5, 10, 20 clicks.

A vector is made from the impressions up to the n-th click by the formula of build-user-embeddings (without decay), for users
held out of all trainings, and for segments made of such users alone. Told: its cosine with the vector of the whole window, and
how much of the gain over the unpersonalised cover its covers keep, as the whole-window vector sees them (preference model), and
by the true click logit where the data came from the embedded world. Users seen in training stand beside. Needs a day
(``make demo``) and ICG_PSEUDONYM_KEY as in its simulation.
Run: ``python -m benchmarks.cold_start --run-date 2026-03-10 [--users 40] [--items 6] [--set store=…]``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from benchmarks.ground import Ground, day_context, day_parser, draw, open_ground, preference_of
from benchmarks.personalisation_scale import served_adapter
from benchmarks.plots import line_plot
from benchmarks.results import write_section
from icg_tasks.contracts.holdout import is_held_out_user
from icg_tasks.contracts.partitions import IMPRESSIONS, ITEM_FEATURES, USER_SEGMENTS
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.features.vector_formula import shrunken
from icg_tasks.lake.partitions import find_partition, read_partition
from icg_tasks.models.training.threads import one_thread
from icg_tasks.stage import StageContext
from icg_tasks.world.oracle import Oracle

FIRST = (1, 2, 5, 10, 20)
_RATE_PRIOR = 100.0
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class History:
    """Somebody's impressions in the order of time, N of them."""

    name: str
    user_ids: list[str]  # one, or a segment's
    matrix_IV: Floats  # of all items, shared
    rows_N: NDArray[np.int64]  # of the items that were shown
    residual_N: Floats  # clicked less what the place explains
    information_N: Floats
    clicked_N: NDArray[np.bool_]

    def vector(self, clicks: int | None, prior: float) -> Floats:
        """Unscaled, of the impressions up to the n-th click; None = of all."""
        stop = len(self.clicked_N)
        if clicks is not None:
            stop = int(np.searchsorted(self.clicked_N.cumsum(), clicks)) + 1
        total = self.residual_N[:stop] @ self.matrix_IV[self.rows_N[:stop]]
        return shrunken(total[None], self.information_N[:stop].sum(keepdims=True), prior)[0]


def read_histories(context: StageContext) -> list[History]:
    """Every user's, of the window's days; impressions that showed a generated cover are left out."""
    days = [context.run_date - timedelta(days=back) for back in range(context.settings.features.window_days)]
    there = [day for day in days if find_partition(context.store, IMPRESSIONS, day) is not None]
    columns = ["user_id", "item_id", "shown_at", "surface", "position", "clicked", "cover_id"]
    table = pa.concat_tables([read_partition(context.store, IMPRESSIONS, day, columns) for day in there])
    table = table.filter(pc.is_null(table["cover_id"])).sort_by([("user_id", "ascending"), ("shown_at", "ascending")])
    features = read_partition(context.store, ITEM_FEATURES, context.run_date, ["item_id", "vector"])
    row_of = {item: row for row, item in enumerate(features["item_id"].to_pylist())}
    vectors = np.array(features["vector"].to_pylist(), dtype=np.float64)
    rows = np.array([row_of.get(item, -1) for item in table["item_id"].to_pylist()])
    clicked = np.array(table["clicked"].fill_null(False).to_pylist(), dtype=bool)
    places = [
        f"{surface}/{at}" for surface, at in zip(table["surface"].to_pylist(), table["position"].to_pylist(), strict=True)
    ]
    _, place = np.unique(places, return_inverse=True)
    shown = np.bincount(place)
    rate = (np.bincount(place, clicked) + _RATE_PRIOR * clicked.mean()) / (shown + _RATE_PRIOR)
    expected = rate[place]
    users = np.array(table["user_id"].to_pylist())
    starts = np.flatnonzero(np.r_[True, users[1:] != users[:-1]])
    found = []
    for start, stop in zip(starts, np.r_[starts[1:], len(users)], strict=True):
        part = np.arange(start, stop)[rows[start:stop] >= 0]
        found.append(
            History(
                name=str(users[start]),
                user_ids=[str(users[start])],
                matrix_IV=vectors,
                rows_N=rows[part],
                residual_N=clicked[part] - expected[part],
                information_N=expected[part] * (1 - expected[part]),
                clicked_N=clicked[part],
            )
        )
    return found


def pooled(context: StageContext, histories: Sequence[History]) -> list[History]:
    """Segments made of these users alone: their impressions in turns, one user after the other."""
    pairs = read_partition(context.store, USER_SEGMENTS, context.run_date)
    of = dict(zip(pairs["user_id"].to_pylist(), pairs["segment_id"].to_pylist(), strict=True))
    groups: dict[str, list[History]] = {}
    for one in histories:
        segment = of.get(one.name, EVERYONE)
        if segment != EVERYONE:
            groups.setdefault(segment, []).append(one)
    found = []
    for segment, members in sorted(groups.items()):
        turns = np.concatenate([np.arange(len(one.clicked_N)) for one in members])
        order = np.argsort(turns, kind="stable")

        def joined(name: str, members: list[History] = members, order: NDArray[np.intp] = order) -> Floats:
            return np.concatenate([getattr(one, name) for one in members])[order]

        found.append(
            History(
                name=segment,
                user_ids=[one.name for one in members],
                matrix_IV=members[0].matrix_IV,
                rows_N=joined("rows_N").astype(np.int64),
                residual_N=joined("residual_N"),
                information_N=joined("information_N"),
                clicked_N=joined("clicked_N").astype(bool),
            )
        )
    return found


def measure(ground: Ground, people: list[History], num_items: int, unit: float) -> dict[int, dict[str, float]]:
    """By number of first clicks (0 = all): cosine with the whole vector, and shares of its covers' gain that are kept."""
    adapter, items = served_adapter(ground), ground.aside.part(list(range(min(num_items, len(ground.aside)))))
    prior = ground.context.settings.features.prior_weight
    whole = np.stack([one.vector(None, prior) for one in people]) / unit
    seen_by = torch.from_numpy(whole).float()
    oracle = Oracle.from_settings(ground.context.settings, ground.context.run_date) if _is_world(ground) else None

    def worth(vectors: Floats) -> tuple[float, float]:
        images = draw(ground.studio, adapter, items, torch.from_numpy(vectors).float())
        preference = float(preference_of(ground.studio, images, items.titles, seen_by).mean())
        return preference, _truth(oracle, images, items.item_ids, people) if oracle else float("nan")

    plain, best = worth(np.zeros_like(whole)), worth(whole)
    found = {0: {"cosine": 1.0, "preference": best[0], "preference_share": 1.0, "logit": best[1], "logit_share": 1.0}}
    for clicks in FIRST:
        early = np.stack([one.vector(clicks, prior) for one in people]) / unit
        got = worth(early)
        cosine = (early * whole).sum(axis=1) / np.maximum(np.linalg.norm(early, axis=1) * np.linalg.norm(whole, axis=1), 1e-9)
        found[clicks] = {
            "cosine": float(cosine.mean()),
            "preference": got[0],
            "preference_share": (got[0] - plain[0]) / (best[0] - plain[0]),
            "logit": got[1],
            "logit_share": (got[1] - plain[1]) / (best[1] - plain[1]),
        }
        print(f"first {clicks} clicks: {found[clicks]}", flush=True)
    return found


def _is_world(ground: Ground) -> bool:
    return ground.context.settings.source == "world"


def _truth(oracle: Oracle, images_GUCHW: torch.Tensor, item_ids: list[str], people: list[History]) -> float:
    """Mean true logit of everybody's cover for themselves."""
    pixels = (images_GUCHW * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).cpu().numpy()
    logits = []
    for row, item in enumerate(item_ids):
        features = oracle.look_features(pixels[row])
        logits += [
            oracle.segment_mean(one.user_ids, item, features[number : number + 1]).logit_C[0]
            for number, one in enumerate(people)
        ]
    return float(np.mean(logits))


def report(studies: dict[str, tuple[int, dict[int, dict[str, float]]]]) -> str:
    """One table, two plots."""
    names = ("cosine", "preference", "preference_share", "logit", "logit_share")
    lines = [f"| who | how many | first clicks | {' | '.join(names)} |", "|---" * (3 + len(names)) + "|"]
    for who, (count, found) in studies.items():
        for clicks in (*FIRST, 0):
            figures = " | ".join(f"{found[clicks][name]:.3f}" for name in names)
            lines.append(f"| {who} | {count} | {clicks or 'all'} | {figures} |")
    for name, words in (("cosine", "Cosine with the whole window's vector"), ("preference_share", "Share of the gain kept")):
        curves = {who: [(clicks, found[clicks][name]) for clicks in FIRST] for who, (_, found) in studies.items()}
        lines += ["", line_plot(f"cold_start_{name}", f"{words}, by first clicks", "clicks", curves)]
    return "\n".join(lines)


def _clicks(one: History) -> bool:
    """Whether somebody has clicked often enough to be compared at every rung."""
    return bool(one.clicked_N.sum() >= FIRST[-1])


def main() -> None:
    """Read, make vectors, draw, compare, write."""
    parser = day_parser(__doc__)
    parser.add_argument("--users", type=int, default=40)
    parser.add_argument("--items", type=int, default=6)
    arguments = parser.parse_args()
    context = day_context(arguments)
    everybody = read_histories(context)
    busy, held = [one for one in everybody if _clicks(one)], [one for one in everybody if is_held_out_user(one.name)]
    kinds = {
        "user never seen": [one for one in held if _clicks(one)][: arguments.users],
        "segment never seen": [one for one in pooled(context, held) if _clicks(one)],
        "user seen in training": [one for one in busy if not is_held_out_user(one.name)][: arguments.users],
    }
    prior = context.settings.features.prior_weight
    unit = float(np.sqrt(np.mean([np.square(one.vector(None, prior)).sum() for one in busy])))  # of users' mean square length 1
    with one_thread():
        ground = open_ground(context)
        studies = {
            who: (len(people), measure(ground, people, arguments.items, unit)) for who, people in kinds.items() if people
        }
    text = report(studies)
    print(text)
    write_section("Cold start", text)


if __name__ == "__main__":
    main()
