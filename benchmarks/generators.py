"""What each generator's covers are worth, in several worlds: one column per world from the tables that ``icg evaluate`` wrote.

Every world is a finished day with ICG's and Pigeon's champions, evaluated with ``generator=pigeon`` and
``evaluation.rivals=icg,pigeon_stage_1``. Told are true logits by the oracle, shares of what is achievable over Pigeon's
unpersonalised cover, paired differences, recognised subjects.
Run: ``python -m benchmarks.generators --run-date 2026-03-10 7=STORE 11=STORE 23=STORE``.
"""

import argparse
import json
from datetime import date
from typing import Any

from benchmarks.results import write_section
from icg_tasks.contracts import partitions as keys
from icg_tasks.evaluation import arms as names
from icg_tasks.lake.store import open_store

STAGE_1, ICG = "pigeon_stage_1", "icg"
ROWS = (
    ("own cover", names.OWN),
    ("unpersonalised (Pigeon)", names.PLAIN),
    ("unpersonalised, best of 8", names.PLAIN_BEST),
    ("Pigeon, stage 1", STAGE_1),
    ("Pigeon, stage 1, best of 8", names.rival_best(STAGE_1)),
    ("Pigeon, stages 1 and 2", names.PERSONAL),
    ("Pigeon, stages 1 and 2, best of 8", names.PERSONAL_BEST),
    ("ICG", ICG),
    ("ICG, best of 8", names.rival_best(ICG)),
    ("swapped (Pigeon)", names.SWAPPED),
    ("best achievable", names.BEST),
)
APART = (
    ("stage 1 less unpersonalised", STAGE_1, names.rival_plain(STAGE_1)),
    ("stages 1 and 2 less stage 1", names.PERSONAL, STAGE_1),
    ("stages 1 and 2 less ICG", names.PERSONAL, ICG),
    ("swapped less unpersonalised", names.SWAPPED, names.PLAIN),
)

Table = list[dict[str, Any]]


def told(row: dict[str, Any] | None) -> str:
    """Mean and 95 % interval."""
    return f"{row['mean']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" if row else "–"


def cells_of(table: Table, detail: dict[str, Any]) -> list[str]:
    """One world's column: logit, subjects and share of each arm, then the differences."""
    mean = {(row["arm"], row["metric"]): row for row in table}
    shares = {(row["arm"], row["metric"]): row for row in detail["shares"]}
    gains = {(row["arm"], row["against"], row["metric"]): row for row in detail["gains"]}
    cells = []
    for _, arm in ROWS:
        parts = [told(mean.get((arm, names.LOGIT)))]
        if (arm, names.SUBJECT) in mean:
            parts.append(f"{100 * mean[arm, names.SUBJECT]['mean']:.0f} %")
        if (arm, names.LOGIT) in shares:
            parts.append(f"share {told(shares[arm, names.LOGIT])}")
        cells.append("; ".join(parts))
    return [*cells, *(told(gains.get((arm, against, names.LOGIT))) for _, arm, against in APART)]


def main() -> None:
    """Read, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-date", type=date.fromisoformat, required=True)
    parser.add_argument("worlds", nargs="+", metavar="SEED=STORE")
    arguments = parser.parse_args()
    columns = []
    for entry in arguments.worlds:
        world, _, place = entry.partition("=")
        store, prefix = open_store(place), keys.partition_prefix(keys.REPORTS, arguments.run_date)
        table, detail = (json.loads(store.get(f"{prefix}/{name}.json")) for name in ("evaluation", "evaluation_detail"))
        columns.append([f"world {world}", *cells_of(table, detail)])
    heads = [
        "true logit; subject recognised; share of the achievable",
        *(head for head, _ in ROWS),
        *(head for head, *_ in APART),
    ]
    rows = [f"| {' | '.join([head, *cells])} |" for head, *cells in zip(heads, *columns, strict=True)]
    rule = "|---" * (1 + len(columns)) + "|"
    closing = "Means over 132 pairs of six segments and 22 held-out items; 95 % intervals, resampled by item."
    text = "\n".join([rows[0], rule, *rows[1:], "", closing])
    print(text)
    write_section("Generators side by side in several worlds", text)


if __name__ == "__main__":
    main()
