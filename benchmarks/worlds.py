"""What personalisation gains in several worlds, side by side: one row per world from the tables that ``icg evaluate`` wrote.

Every world is a finished day (``make demo SEED=N``). Told are true logits by the oracle, the share of what is achievable, what
a swapped cover is worth, relevance and recognised subjects against the unpersonalised cover, and how many looks are distinct.
Run: ``python -m benchmarks.worlds --run-date 2026-03-10 7=STORE 11=STORE 23=STORE``.
"""

import argparse
import json
from datetime import date
from typing import Any

from benchmarks.results import write_section
from icg_tasks.contracts import partitions as keys
from icg_tasks.evaluation import arms as names
from icg_tasks.lake.store import open_store

HEADS = (
    "world", "unpersonalised", "personalised", "best achievable", "share of the achievable", "best of 8: share",
    "swapped less unpersonalised (logit)", "relevance, points", "subject, points", "distinct looks", "distinct tastes",
)  # fmt: skip


def row_of(world: str, table: list[dict[str, Any]], detail: dict[str, Any]) -> list[str]:
    """One world's cells."""
    mean = {(row["arm"], row["metric"]): row for row in table}
    shares = {(row["arm"], row["metric"]): row for row in detail["shares"]}
    gains = {(row["arm"], row["against"], row["metric"]): row for row in detail["gains"]}

    def points(metric: str) -> str:
        return f"{100 * (mean[names.PERSONAL, metric]['mean'] - mean[names.PLAIN, metric]['mean']):+.1f}"

    def told(row: dict[str, Any] | None) -> str:
        return f"{row['mean']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" if row else "–"

    logits = [told(mean[arm, names.LOGIT]) for arm in (names.PLAIN, names.PERSONAL, names.BEST)]
    looks = [told(mean.get((arm, names.LOOKS))) for arm in (names.PERSONAL, names.BEST)]
    return [
        world,
        *logits,
        *(told(shares.get((arm, names.LOGIT))) for arm in (names.PERSONAL, names.PERSONAL_BEST)),
        told(gains.get((names.SWAPPED, names.PLAIN, names.LOGIT))),
        points(names.RELEVANCE),
        points(names.SUBJECT),
        *looks,
    ]


def main() -> None:
    """Read, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-date", type=date.fromisoformat, required=True)
    parser.add_argument("worlds", nargs="+", metavar="SEED=STORE")
    arguments = parser.parse_args()
    lines = [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    for entry in arguments.worlds:
        world, _, place = entry.partition("=")
        store, prefix = open_store(place), keys.partition_prefix(keys.REPORTS, arguments.run_date)
        table = json.loads(store.get(f"{prefix}/evaluation.json"))
        detail = json.loads(store.get(f"{prefix}/evaluation_detail.json"))
        lines.append(f"| {' | '.join(row_of(world, table, detail))} |")
    text = "\n".join(
        [*lines, "", "Means over 132 pairs of six segments and 22 held-out items; 95 % intervals, resampled by item."]
    )
    print(text)
    write_section("Personalisation in several worlds", text)


if __name__ == "__main__":
    main()
