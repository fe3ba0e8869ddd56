"""Timed events of any number as impressions of a window, in bounded memory: two passes over the file, then bucket by bucket.

1. The events of listed items are counted by hour, so that days of about equal volume can be cut in the order of time.
2. Each event goes to the bucket of its user (by hash), a file in scratch. A finished pass is not made again.
3. A bucket, in its turn, becomes one part: a user's first event per item is a click at its place in time; beside it come
   ``non_clicks_per_click`` items that the user never chose, drawn uniformly: nothing is known of what was seen.

Knows columns user, item, timestamp; no format. Legend: E events of a bucket, I items.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.intake.sources.laid_out import SEED, Floats, Whole, day_tables, generator_of, places
from icg_tasks.intake.sources.outside import Part

BUCKET_EVENTS = 250_000
_MAX_BUCKETS = 512  # files open at once
_HOUR = 3_600
_MILLISECONDS_FROM = 100_000_000_000  # timestamps from here on count milliseconds
_DRAWS = 16
_EVENT = pa.schema([("user", pa.string()), ("item", pa.string()), ("second", pa.int64())])

Batches = Callable[[str], Iterator[pa.RecordBatch]]
"""Reads the file once (the text says for what): columns user, item (any type), timestamp (int64)."""


@dataclass(frozen=True, kw_only=True)
class Events:
    """``items``: ids that count, sorted; ``user_share``: of users, by a stable hash; ``ratio``: non-clicks per click."""

    source: str
    read: Batches
    items: Sequence[str]
    user_share: float
    ratio: int
    scratch: Path
    fingerprint: str  # of the files and settings: what a former pass may be reused for


@dataclass(frozen=True, kw_only=True)
class Laid:
    """Events cut into days and buckets. ``edges``: events before each hour that has any."""

    hours: Whole
    before: Whole
    total: int
    buckets: int
    left_out: int

    def moments(self, second_E: Whole, num_days: int) -> Floats:
        """Places in [0, num_days), in the order of time, about as many events in each day."""
        hour_E = second_E // _HOUR
        at_E = np.searchsorted(self.hours, hour_E)
        size_E = np.diff(np.append(self.before, self.total))[at_E]
        share_E = (self.before[at_E] + size_E * ((second_E % _HOUR) / _HOUR)) / self.total
        moments: Floats = np.minimum(share_E, np.nextafter(1.0, 0.0)) * num_days
        return moments


def lay_out(events: Events) -> Laid:
    """Both passes; raises DataCorrupt where no event is left."""
    record = events.scratch / "laid.json"
    if record.is_file() and (former := json.loads(record.read_text()))["fingerprint"] == events.fingerprint:
        return _laid(former)
    hours: Counter[int] = Counter()
    seen = 0
    for batch in events.read("counting events"):
        seen += batch.num_rows
        hour_E, count_E = np.unique(_kept(events, batch).column("second").to_numpy() // _HOUR, return_counts=True)
        hours.update(dict(zip(hour_E.tolist(), count_E.tolist(), strict=True)))
    total = hours.total()
    if not total:
        raise DataCorrupt(
            f"{events.source}: none of {seen} events is of a listed item with a cover (and of a user within intake.user_share="
            f"{events.user_share}); check that covers, item list and events belong together"
        )
    buckets = min(_MAX_BUCKETS, -(-total // BUCKET_EVENTS))
    _spill(events, buckets)
    body = {"fingerprint": events.fingerprint, "hours": sorted(hours.items()), "buckets": buckets, "left_out": seen - total}
    record.write_text(json.dumps(body))
    return _laid(body)


def parts_of(
    events: Events, laid: Laid, days: Sequence[date], user_name: Callable[[Any], str], item_name: Callable[[Any], str]
) -> list[Part]:
    """One part per bucket."""

    def part(bucket: int) -> Mapping[date, pa.Table]:
        rows = _bucket_rows(events, laid, bucket, len(days))
        return day_tables(rows, days, f"{events.source}-*-{bucket:03d}", user_name, item_name)

    return [lambda bucket=bucket: part(bucket) for bucket in range(laid.buckets)]  # type: ignore[misc]


def _laid(body: Mapping[str, Any]) -> Laid:
    hours = np.array([hour for hour, _ in body["hours"]], dtype=np.int64)
    counts = np.array([count for _, count in body["hours"]], dtype=np.int64)
    total = int(counts.sum())
    return Laid(hours=hours, before=np.cumsum(counts) - counts, total=total, buckets=body["buckets"], left_out=body["left_out"])


def _kept(events: Events, batch: pa.RecordBatch) -> pa.Table:
    """Events of listed items and chosen users (schema _EVENT)."""
    table = pa.table({"user": batch.column("user").cast(pa.string()), "item": batch.column("item").cast(pa.string()),
                      "second": batch.column("timestamp")})  # fmt: skip
    known = pc.is_in(table.column("item"), value_set=pa.array(events.items, pa.string()))
    table = table.filter(pc.and_(known, pc.is_valid(table.column("second"))))
    if events.user_share < 1.0:
        table = table.filter(pa.array(_hashes(table, "share") / 2.0**64 < events.user_share))
    second = table.column("second")
    scaled = pc.if_else(pc.greater_equal(second, _MILLISECONDS_FROM), pc.divide(second, 1000), second)
    return table.set_column(2, "second", scaled).cast(_EVENT)


def _hashes(table: pa.Table, purpose: str) -> NDArray[np.uint64]:
    """A stable hash of each row's user."""
    users = table.column("user").to_numpy(zero_copy_only=False)
    found: NDArray[np.uint64] = pd.util.hash_array(users, hash_key=f"{purpose:>16}", categorize=True)
    return found


def _spill(events: Events, buckets: int) -> None:
    writers = [pq.ParquetWriter(_bucket_path(events, bucket), _EVENT, compression="zstd") for bucket in range(buckets)]
    try:
        for batch in events.read("sorting events by user"):
            table = _kept(events, batch)
            bucket_E = (_hashes(table, "bucket") % np.uint64(buckets)).astype(np.int64)
            for bucket in np.unique(bucket_E).tolist():
                writers[bucket].write_table(table.filter(pa.array(bucket_E == bucket)))
    finally:
        for writer in writers:
            writer.close()


def _bucket_path(events: Events, bucket: int) -> Path:
    return events.scratch / f"events-{bucket:03d}.parquet"


def _bucket_rows(events: Events, laid: Laid, bucket: int, num_days: int) -> pd.DataFrame:
    """Columns user, item, clicked, day (index), second (of the day): clicks, then non-clicks."""
    frame = pq.read_table(_bucket_path(events, bucket)).to_pandas()
    frame = frame.sort_values(["user", "second", "item"], kind="stable").drop_duplicates(["user", "item"])
    day_E, second_E = places(laid.moments(frame["second"].to_numpy(), num_days), num_days)
    user_E, users = pd.factorize(frame["user"])
    items = np.array(events.items, dtype=object)
    item_E = np.searchsorted(items.astype(str), frame["item"].to_numpy().astype(str))
    clicked = pd.DataFrame({"user": frame["user"], "item": frame["item"], "clicked": 1, "day": day_E, "second": second_E})
    click_N, passed_N = _passed(user_E, item_E, len(items), events.ratio, generator_of(events.source, f"bucket {bucket}"))
    nth_N = pd.Series(click_N).groupby(click_N).cumcount().to_numpy()
    passed = pd.DataFrame(
        {
            "user": np.asarray(users, dtype=object)[user_E[click_N]],
            "item": items[passed_N],
            "clicked": 0,
            "day": day_E[click_N],
            "second": second_E[click_N] + 1 + nth_N,
        }
    )
    return pd.concat([clicked, passed], ignore_index=True)


def _passed(user_E: Whole, item_E: Whole, num_items: int, ratio: int, rng: np.random.Generator) -> tuple[Whole, Whole]:
    """For each click ``ratio`` items that its user never chose and no other click of the user has: (click, item), by click.

    Drawn and, where taken, drawn again a few times; a user who chose nearly everything gets fewer.
    """
    taken = np.sort(user_E * num_items + item_E)
    click_N = np.repeat(np.arange(len(user_E)), ratio)
    clicks: list[Whole] = []
    found: list[Whole] = []
    for _ in range(_DRAWS):
        drawn_N = rng.integers(0, num_items, len(click_N))
        pair_N = user_E[click_N] * num_items + drawn_N
        place_N = np.minimum(np.searchsorted(taken, pair_N), len(taken) - 1)
        first_N = np.zeros(len(pair_N), dtype=bool)
        first_N[np.unique(pair_N, return_index=True)[1]] = True
        good_N = (taken[place_N] != pair_N) & first_N if len(taken) else first_N
        clicks.append(click_N[good_N])
        found.append(drawn_N[good_N])
        taken = np.sort(np.concatenate([taken, pair_N[good_N]]))
        click_N = click_N[~good_N]
        if not len(click_N):
            break
    click, item = np.concatenate(clicks), np.concatenate(found)
    order = np.argsort(click, kind="stable")
    return click[order], item[order]


METHOD = (
    "clicks: a user's first event per item, whatever its value; days: the order of time kept, stretched so that each day has "
    f"about as many; non-clicks: items the user never chose, drawn uniformly (seed {SEED}): nothing is known of what was seen"
)
