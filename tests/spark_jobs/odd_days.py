"""Days that are not like others, through validation and build-user-embeddings: what was tried, and what came out, as one table.

``python -m tests.spark_jobs.odd_days`` writes docs/odd-days.md; the test beside this file makes sure that it still holds.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

import spark_jobs.build_user_embeddings as job
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.stages import BUILD_USER_EMBEDDINGS, StageOutcome
from icg_tasks.lake.partitions import read_partition
from icg_tasks.lake.store import ObjectStore, open_store
from tests.features.small_store import DAY, impressions, item_vectors, write_impressions, write_items
from tests.spark_jobs.odd_raw_days import RAW_TRIALS, RawTrial, same, yes
from tests.spark_jobs.test_build_user_embeddings import context

PAGE = Path(__file__).resolve().parents[2] / "docs" / "odd-days.md"
BEFORE, NEXT = DAY - timedelta(days=1), DAY + timedelta(days=1)
_ROWS = 300
_BOT_ROWS = 20_000


class Trial:
    """A store of three ordinary days, and what its runs leave in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, open_store(str(folder / "store"))
        for age in range(3):
            write_impressions(self.store, DAY - timedelta(days=age), ordinary(age))
            write_items(self.store, DAY - timedelta(days=age), item_vectors())

    def run(self, day: date = DAY, **features: object) -> StageOutcome:
        """The stage as of a day."""
        return job.run(context(self.store, self.folder / "work", BUILD_USER_EMBEDDINGS, day, **features))

    def sums(self, day: date = DAY) -> dict[str, dict[str, object]]:
        """A day's partial sums by user."""
        return {row["user_id"]: row for row in read_partition(self.store, keys.USER_DAYS, day).to_pylist()}

    def counted(self, day: date = DAY) -> int:
        """Impressions in a day's sums."""
        return sum(int(str(row["impressions"])) for row in self.sums(day).values())

    def everything(self) -> dict[str, bytes]:
        """Manifests of all that runs wrote; they name every file by its hash, and none that was replaced."""
        return {key: self.store.get(key) for key in self.store.list("features/user") if key.endswith(keys.PARTITION_MANIFEST)}


def ordinary(seed: int) -> pa.Table:
    """A day's rows."""
    return impressions(DAY - timedelta(days=seed), seed=seed, num_rows=_ROWS)


def odd(count: int, **columns: object) -> pa.Table:
    """Rows like no others: constants by column."""
    given = {"impression_id": "x", "user_id": "u", "item_id": "item000", "surface": "home", "cover_id": None, "position": 0}
    given |= {"shown_at": datetime(DAY.year, DAY.month, DAY.day, 3), "propensity": 1.0, "clicked": False, "dwell_seconds": None}
    return pa.Table.from_pylist([given | columns] * count, schema=schemas.IMPRESSIONS)


def joined(*tables: pa.Table) -> pa.Table:
    """Below each other, in the declared schema."""
    return pa.concat_tables([table.select(schemas.IMPRESSIONS.names).cast(schemas.IMPRESSIONS) for table in tables])


def twice(trial: Trial) -> str:
    """The same day run again."""
    trial.run()
    first = trial.everything()
    again = trial.run()
    return f"{again.counts['days_computed']} days computed; bytes {same(trial.everything(), first)}"


def doubled(trial: Trial) -> str:
    """The day's partition is delivered a second time."""
    trial.run()
    first = trial.everything()
    write_impressions(trial.store, DAY, ordinary(0))
    again = trial.run()
    counts = f"{again.counts['days_computed']} days computed, {trial.counted()} of {_ROWS} rows counted"
    return f"{counts}; bytes {same(trial.everything(), first)}"


def bot(trial: Trial) -> str:
    """One user with many times everybody's impressions, clicking on half of them."""
    trial.run()
    before = trial.sums()
    rows = [
        odd(_BOT_ROWS // 2, user_id="bot", clicked=clicked, item_id=item)
        for clicked, item in ((True, "item001"), (False, "item002"))
    ]
    write_impressions(trial.store, DAY, joined(ordinary(0), *rows))
    trial.run()
    after = trial.sums()
    kept = all(
        (after[user]["impressions"], after[user]["clicks"]) == (row["impressions"], row["clicks"])
        for user, row in before.items()
    )
    share = after["bot"]["impressions"] == _BOT_ROWS
    counts = f"{trial.counted()} of {_ROWS + _BOT_ROWS} rows counted, the bot's own: {yes(share)}"
    return f"{counts}; others' counts unchanged: {yes(kept)}"


def garbage(trial: Trial) -> str:
    """Items and covers nobody knows, places far out, users with odd names."""
    rows = [
        odd(5, item_id="no such item"),
        odd(5, cover_id="0" * 64),
        odd(5, surface="", position=2_000_000_000),
        odd(5, surface="x" * 5_000, position=-7),
        odd(5, user_id=""),
        odd(5, user_id="ü" * 300),
        odd(5, propensity=0.0),
    ]
    write_impressions(trial.store, DAY, joined(ordinary(0), *rows))
    outcome = trial.run()
    lost = (outcome.counts["impressions_without_item_vector"], outcome.counts["impressions_without_cover_vector"])
    finite = all(np.isfinite(row["vector"]).all() for row in read_partition(trial.store, keys.USERS, DAY).to_pylist())
    counts = f"{trial.counted()} of {_ROWS + 35} rows counted; {lost[0]} without an item's vector, {lost[1]} without a cover's"
    return f"{counts}; all vectors finite: {yes(finite)}"


def empty(trial: Trial) -> str:
    """A day without a row: run as of itself, and as of the day after."""
    write_impressions(trial.store, BEFORE, schemas.IMPRESSIONS.empty_table())
    try:
        trial.run(BEFORE)
        refused = False
    except DataMissing:
        refused = True
    outcome = trial.run()
    counts = f"the day after adds {outcome.counts['days']} of 3 days, {outcome.counts['users']} users"
    return f"as of itself refused: {yes(refused)}; {counts}"


def yesterdays(trial: Trial) -> str:
    """The day brings events of yesterday with it."""
    trial.run(BEFORE)
    first = {key: data for key, data in trial.everything().items() if BEFORE.isoformat() in key and "user_days" in key}
    late = odd(30, user_id="late", shown_at=datetime(BEFORE.year, BEFORE.month, BEFORE.day, 23))
    write_impressions(trial.store, DAY, joined(ordinary(0), late))
    outcome = trial.run()
    kept = same({key: trial.store.get(key) for key in first}, first)
    return (
        f"{outcome.counts['days_computed']} day computed, {trial.counted()} of {_ROWS + 30} rows counted on arrival;"
        f" yesterday's bytes {kept}"
    )


def reopened(trial: Trial) -> str:
    """Yesterday's partition comes again with more rows in it."""
    trial.run()
    write_impressions(trial.store, BEFORE, joined(ordinary(1), odd(10, user_id="late")))
    outcome = trial.run()
    found = trial.everything()
    forget(trial.store)
    trial.run()
    counts = f"{outcome.counts['days_computed']} day computed, {trial.counted(BEFORE)} of {_ROWS + 10} rows counted"
    return f"{counts}; bytes {same(trial.everything(), found)} as from nothing"


def at_once(trial: Trial) -> str:
    """Two dates are back-filled at the same time, then the same date twice at the same time."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(trial.run, (BEFORE, DAY)))
        found = trial.everything()
        list(pool.map(trial.run, (DAY, DAY)))
    again = trial.everything()
    forget(trial.store)
    for day in (DAY, BEFORE):
        trial.run(day)
    serial = same(trial.everything(), found)
    return f"bytes {same(again, found)} after the second pair, {serial} as one after the other, newest first"


def carried(trial: Trial) -> str:
    """Windows carried from day to day, and one added up anew."""
    for age in range(3, 7):
        write_impressions(trial.store, DAY - timedelta(days=age), ordinary(age))
    for day in (BEFORE, DAY):
        trial.run(day, carry_window=True, window_days=5)
    found = trial.everything()
    forget(trial.store)
    trial.run(DAY, carry_window=True, window_days=5)
    anew = trial.everything()
    return f"bytes {same(anew, {key: found[key] for key in anew})}"


def forget(store: ObjectStore) -> None:
    """Delete all that runs wrote."""
    for key in list(store.list("features/user")):
        store.delete(key)


TRIALS: tuple[Callable[[Trial], str], ...] = (
    twice, doubled, bot, garbage, empty, yesterdays, reopened, at_once, carried,
)  # fmt: skip


def rows() -> Iterator[tuple[str, str]]:
    """Each trial in a store of its own: what was tried, what came out."""
    for trial, ground in [*((one, RawTrial) for one in RAW_TRIALS), *((one, Trial) for one in TRIALS)]:
        with tempfile.TemporaryDirectory() as folder:
            yield str(trial.__doc__), trial(ground(Path(folder)))
            print(f"{trial.__name__} done", file=sys.stderr, flush=True)


def page() -> str:
    """The table as Markdown."""
    lines = [f"| {tried} | {came} |" for tried, came in rows()]
    head = (
        "# Odd days\n\nWhat validation and `build-user-embeddings` made of them. Written by\n"
        "`python -m tests.spark_jobs.odd_days`, held by `tests/spark_jobs/test_odd_days.py`. *Raw* days go the whole way:\n"
        "after each, rows in are rows clean and rows held, no row lies in two clean days, and the users' sums hold as many as\n"
        "are clean. The others are handed to the features as clean rows on purpose, also rows that validation would have\n"
        "kept away.\n\n| tried | came out |\n|---|---|\n"
    )
    return head + "\n".join(lines) + "\n"


if __name__ == "__main__":
    from icg_tasks.config.settings import SparkSettings
    from icg_tasks.spark_session import spark_session

    with spark_session(SparkSettings(master="local[1]", shuffle_partitions=2, driver_memory="1g"), "odd days"):
        PAGE.write_text(page())
