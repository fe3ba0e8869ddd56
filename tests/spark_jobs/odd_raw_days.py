"""Odd days from the raw files on: through validate-impressions (real rules, suite and gate), then build-user-embeddings.

Every trial ends by counting: rows in = clean + quarantine, no impression id twice in all clean days, and as many impressions in
the users' sums as there are clean rows. ``odd_days`` puts these trials into the same table.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

import spark_jobs.build_user_embeddings as job
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas
from icg_tasks.contracts.errors import GateRefused
from icg_tasks.contracts.pseudonym import KEY_VARIABLE
from icg_tasks.contracts.stages import BUILD_USER_EMBEDDINGS, VALIDATE_IMPRESSIONS
from icg_tasks.intake import requeue, validate_impressions
from icg_tasks.lake.folder import FolderStore
from icg_tasks.lake.partitions import find_partition, list_partition_dates, read_partition, write_partition
from tests.features.small_store import WIDTH
from tests.intake.conftest import KEY, Platform, context_of
from tests.spark_jobs.test_build_user_embeddings import context

DAY = date(2026, 3, 10)
BEFORE, NEXT = DAY - timedelta(days=1), DAY + timedelta(days=1)
_ROWS = 400
_BOT_ROWS = 8_000
_ROOM = ("intake.max_quarantined_share=0.9", "intake.rule_budgets=")


class RawTrial:
    """A platform with a catalogue and two ordinary days delivered, none validated."""

    def __init__(self, folder: Path) -> None:
        os.environ[KEY_VARIABLE] = KEY
        self.folder, self.store = folder, FolderStore(folder / "store")
        self.platform = Platform(self.store, DAY)
        for day in (BEFORE, DAY, NEXT):
            self.list_items(day)
        for day in (BEFORE, DAY):
            self.deliver(self.ordinary(day), day)

    def list_items(self, day: date) -> None:
        """A clean catalogue and its vectors."""
        ids = [f"item-{number:03d}" for number in range(30)]
        rows = [dict.fromkeys(schemas.ITEMS.names) | {"item_id": name} for name in ids]
        write_partition(self.store, keys.ITEMS, day, [pa.Table.from_pylist(rows)], schema=schemas.ITEMS)
        vectors = np.random.default_rng(1).normal(size=(30, WIDTH)).astype(np.float32)
        columns = {
            "item_id": ids,
            "content_hash": ids,
            "encoder": ["e"] * 30,
            "vector": pa.array(list(vectors), schemas.VECTOR),
        }
        metadata = {"encoder": "e", "width": WIDTH}
        write_partition(
            self.store, keys.ITEM_FEATURES, day, [pa.table(columns)], schema=schemas.ITEM_FEATURES, metadata=metadata
        )

    def ordinary(self, day: date = DAY) -> pd.DataFrame:
        """A day's rows as a platform writes them."""
        return self.platform.impression_frame(day, _ROWS)

    def deliver(self, rows: pd.DataFrame, day: date = DAY) -> None:
        """The day's raw partition."""
        self.platform.put_impressions(rows, day)

    def validate(self, day: date = DAY, *settings: str) -> bool:
        """Whether the day was let in."""
        try:
            validate_impressions.run(context_of(VALIDATE_IMPRESSIONS, day, self.store, self.folder, *settings))
        except GateRefused:
            return False
        return True

    def build(self, day: date = DAY) -> None:
        """User vectors as of a day."""
        job.run(context(self.store, self.folder / "work", BUILD_USER_EMBEDDINGS, day))

    def account(self, day: date = DAY) -> str:
        """In words where each row of the day went; loud where one is lost, or one is twice."""
        raw = read_partition(self.store, keys.IMPRESSIONS_RAW, day).num_rows
        clean = find_partition(self.store, keys.IMPRESSIONS, day)
        held = find_partition(self.store, keys.QUARANTINE_IMPRESSIONS, day)
        kept = held.rows if held else 0
        if clean is None:
            return f"{raw} in, none let in, {kept} held with their reasons{self.doubles()}"
        lost = "" if clean.rows + kept == raw else " ROWS ARE LOST"
        return f"{raw} in = {clean.rows} clean + {kept} held{lost}{self.doubles()}"

    def doubles(self) -> str:
        """Loud where an impression id lies twice in clean days, or the users' sums hold other rows than they."""
        ids: list[str] = []
        for day in list_partition_dates(self.store, keys.IMPRESSIONS):
            ids += read_partition(self.store, keys.IMPRESSIONS, day, ["impression_id"])["impression_id"].to_pylist()
        summed = [read_partition(self.store, keys.USER_DAYS, day) for day in list_partition_dates(self.store, keys.USER_DAYS)]
        counted = sum(sum(table["impressions"].to_pylist()) for table in summed)
        twice = " ROWS ARE TWICE" if len(set(ids)) != len(ids) else ""
        return twice if not summed or counted == len(ids) else f"{twice} THE SUMS HOLD {counted} ROWS OF {len(ids)}"

    def sums(self) -> dict[str, bytes]:
        """Manifests of all that build-user-embeddings wrote."""
        return {key: self.store.get(key) for key in self.store.list("features/user") if key.endswith(keys.PARTITION_MANIFEST)}


def raw_bot(trial: RawTrial) -> str:
    """Raw: one user with twenty times everybody's impressions."""
    bot = pd.concat([trial.ordinary()] * (_BOT_ROWS // _ROWS)).assign(user_id="bot")
    bot["impression_id"] = [f"bot-{number}" for number in range(len(bot))]
    trial.deliver(pd.concat([trial.ordinary(), bot]))
    refused = not trial.validate()
    trial.validate(DAY, "intake.max_volume_ratio=50")
    trial.build()
    largest = max(read_partition(trial.store, keys.USER_DAYS, DAY)["impressions"].to_pylist())
    return f"refused for its volume: {yes(refused)}; with that allowed {trial.account()}; the bot's sums hold {largest} of them"


def raw_garbage(trial: RawTrial) -> str:
    """Raw: a day of garbage, then the day after, then the day as it should have been."""
    trial.deliver(trial.ordinary().assign(item_id="?", position=-5))
    refused = not trial.validate()
    before = trial.account()
    trial.deliver(trial.ordinary(NEXT), NEXT)
    went_on = trial.validate(NEXT)
    trial.build(NEXT)
    without = trial.account(NEXT)
    trial.deliver(trial.ordinary())
    trial.validate()
    trial.build(NEXT)
    after = f"the day after goes on: {yes(went_on)}, {without}"
    return f"refused: {yes(refused)}, {before}; {after}; delivered again {trial.account()}"


def raw_spoilt(trial: RawTrial) -> str:
    """Raw: one row in forty spoilt in three ways; then one way is mended in the settings (requeue)."""
    rows = trial.ordinary()
    rows.loc[:3, "surface"] = "billboard"
    rows.loc[4:6, "user_id"] = None
    rows.loc[7:9, "clicked"] = 7
    trial.deliver(rows)
    trial.validate()
    trial.build()
    first = trial.account()
    settings = "intake.surfaces=home,search,similar,billboard"
    requeue.run(context_of("requeue", DAY, trial.store, trial.folder, settings))
    trial.build()
    return f"{first}; after the mending {trial.account()}"


def raw_empty(trial: RawTrial) -> str:
    """Raw: a day without a row, then the day after."""
    trial.deliver(trial.ordinary().head(0))
    refused = not trial.validate()
    trial.deliver(trial.ordinary(NEXT), NEXT)
    went_on = trial.validate(NEXT)
    trial.build(NEXT)
    return f"refused: {yes(refused)}; the day after goes on: {yes(went_on)}, {trial.account(NEXT)}"


def raw_doubled(trial: RawTrial) -> str:
    """Raw: every row of the day is sent twice."""
    trial.validate()
    trial.build()
    expected = trial.sums()
    trial.deliver(pd.concat([trial.ordinary(), trial.ordinary()]))
    refused = not trial.validate()
    trial.validate(DAY, *_ROOM)
    trial.build()
    bytes_are = same(trial.sums(), expected)
    return f"refused: {yes(refused)}; with that allowed {trial.account()}; users' bytes {bytes_are} as sent once"


def raw_yesterdays(trial: RawTrial) -> str:
    """Raw: the day brings all of yesterday's rows again, and twenty that yesterday did not have."""
    yesterday = trial.ordinary(BEFORE)
    late = yesterday.head(20).assign(impression_id=[f"late-{number}" for number in range(20)])
    trial.deliver(pd.concat([trial.ordinary(), yesterday, late]))
    refused = not trial.validate()
    trial.validate(DAY, *_ROOM)
    trial.build()
    return f"refused: {yes(refused)}; with that allowed {trial.account()}, yesterday {trial.account(BEFORE)}"


def raw_backwards(trial: RawTrial) -> str:
    """Raw: half of yesterday's rows come today, and yesterday itself is delivered and validated after today."""
    trial.deliver(pd.concat([trial.ordinary(), trial.ordinary(BEFORE).head(_ROWS // 2)]))
    trial.validate(DAY, "intake.catch_up_days=0")
    trial.build()
    first = trial.account()
    trial.validate(BEFORE, *_ROOM)
    trial.build()
    return f"{first}; then yesterday {trial.account(BEFORE)}"


def raw_at_once(trial: RawTrial) -> str:
    """Raw: two dates are validated at the same time by processes of their own, both of which find yesterday missing."""
    late = trial.ordinary(BEFORE).head(10)
    trial.deliver(pd.concat([trial.ordinary(), late]))
    found = []
    for together in (True, False):
        for prefix in ("clean/impressions", "quarantine", "features/user"):
            for key in list(trial.store.list(prefix)):
                trial.store.delete(key)
        running: list[subprocess.Popen[bytes]] = []
        for day in (BEFORE, DAY):
            running.append(_process(trial, day))
            if not together:
                running[-1].wait()
        assert [process.wait() for process in running] == [0, 0]
        trial.build()
        found.append({key: trial.store.get(key) for place in ("clean/impressions", "quarantine", "features/user")
                      for key in trial.store.list(place)})  # fmt: skip
    return f"{trial.account(BEFORE)}, {trial.account()}; bytes {same(*found)} as one after the other"


def _process(trial: RawTrial, day: date) -> "subprocess.Popen[bytes]":
    words = [sys.executable, "-m", "icg_tasks.cli", VALIDATE_IMPRESSIONS, "--run-date", day.isoformat()]
    words += ["--set", f"store={trial.store.root}", "--set", f"work_folder={trial.folder / 'work'}"]
    return subprocess.Popen([*words, *(word for one in _ROOM for word in ("--set", one))], stdout=subprocess.DEVNULL)


def same(found: dict[str, bytes], expected: dict[str, bytes]) -> str:
    """Whether both hold the same."""
    return "the same" if found == expected else "DIFFERENT"


def yes(value: bool) -> str:
    """In words."""
    return "yes" if value else "NO"


RAW_TRIALS: tuple[Callable[[RawTrial], str], ...] = (
    raw_bot, raw_garbage, raw_spoilt, raw_empty, raw_doubled, raw_yesterdays, raw_backwards, raw_at_once,
)  # fmt: skip
