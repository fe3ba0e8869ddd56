"""One day as it was run: seconds per stage and the uplift table, from the closing lines and the evaluation in a store.

Run after a day (``make demo``): ``python -m benchmarks.day --run-date 2026-03-10 [--set store=…]``; writes RESULTS.md.
"""

import argparse
import json
import os
from datetime import date

from benchmarks.results import write_section
from icg_tasks.config import load_settings
from icg_tasks.contracts.partitions import REPORTS, STAGE_RUNS, partition_prefix, stage_run_key
from icg_tasks.contracts.stages import DAY_IN_ORDER, GENERATE_COVERS, PLAN_COVERS
from icg_tasks.lake.store import ObjectStore, open_store


def stages_table(store: ObjectStore, run_date: date) -> str:
    """Seconds per stage; mapped tasks are added up."""
    seconds: dict[str, list[float]] = {}
    shards = json.loads(store.get(stage_run_key(PLAN_COVERS, run_date)))["figures"]["shards"]
    planned = {stage_run_key(GENERATE_COVERS, run_date, str(shard)) for shard in shards}  # others are of an earlier plan
    for key in store.list(f"{STAGE_RUNS}/ds={run_date.isoformat()}/"):
        line = json.loads(store.get(key))
        if line["stage"] == GENERATE_COVERS and key not in planned:
            continue
        seconds.setdefault(line["stage"], []).append(float(line["seconds"]))
    rows = [
        f"| {stage} | {len(seconds[stage])} | {sum(seconds[stage]):.1f} |"
        for stage in ("simulate", *DAY_IN_ORDER)
        if stage in seconds
    ]
    return "\n".join(["| stage | tasks | seconds |", "|---|---|---|", *rows])


def main() -> None:
    """Read, format, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--run-date", type=date.fromisoformat, required=True)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    store = open_store(load_settings("tiny", arguments.overrides, environ=os.environ).store)
    uplift = store.get(f"{partition_prefix(REPORTS, arguments.run_date)}/evaluation.md").decode().partition("\n")[2]
    write_section("A day on the embedded world", f"{stages_table(store, arguments.run_date)}\n\n{uplift}")


if __name__ == "__main__":
    main()
