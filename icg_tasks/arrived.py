"""Stage arrived: whether the platform has written a day's raw data; what is missing, by name.

Looks for what a writer leaves last: our manifest, or Spark's _SUCCESS.

Run: ``icg arrived --run-date 2026-03-10``. It ends well either way: who waits for how long is the orchestration's affair.
"""

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.lake.partitions import manifest_key
from icg_tasks.stage import StageContext

SUCCESS = "_SUCCESS"  # what Spark and others leave last, as our own writer leaves its manifest
AWAITED = (keys.ITEMS_RAW, keys.IMPRESSIONS_RAW)


def run(context: StageContext) -> StageOutcome:
    """Look for what a writer leaves last in each of the day's raw partitions."""
    store, day = context.store, context.run_date
    missing = [
        dataset
        for dataset in AWAITED
        if not (store.exists(manifest_key(dataset, day)) or store.exists(f"{keys.partition_prefix(dataset, day)}/{SUCCESS}"))
    ]
    context.say(f"missing: {', '.join(missing) or 'nothing'}")
    return StageOutcome(counts={"missing": len(missing)}, figures={"missing": missing})
