"""Who asked to be forgotten is found nowhere after the next run, whenever the request came; the certificate says what went."""

import json
import shutil
from dataclasses import replace
from datetime import date, timedelta

import pyarrow as pa
import pytest

from icg_tasks.contracts import schemas
from icg_tasks.contracts.errors import GateRefused
from icg_tasks.contracts.pseudonym import pseudonym
from icg_tasks.intake import erase, erasure, validate_impressions
from icg_tasks.intake.door import open_door
from icg_tasks.lake.folder import FolderStore
from icg_tasks.lake.partitions import find_partition, read_partition, write_partition
from tests.intake.scanning import keys_with, readable_bytes

STAGE = "validate-impressions"
GONE = ["user-7", "user-21"]
NOTED = ("raw/", "clean/erasures", "certificates/")


@pytest.fixture
def day(platform, window):
    """Three clean days of impressions, features of the last, and the run date's raw impressions with some bad rows."""
    shutil.copytree(window / "caught_up", platform.store.root)
    frame = platform.impression_frame()
    frame.loc[:9, "surface"] = "billboard"
    frame.loc[:4, "user_id"] = "user-7"
    platform.put_impressions(frame)
    put_features(platform.store, platform.day - timedelta(days=1))
    return platform.day


def put_features(store, day) -> None:
    names = sorted(set(read_partition(store, "clean/impressions", day)["user_id"].to_pylist()))
    half = len(names) // 2
    parts = [pa.table({"user_id": part, "segment_id": ["s1"] * len(part)}) for part in (names[:half], names[half:])]
    write_partition(store, "features/user_segments", day, parts, schema=schemas.USER_SEGMENTS)
    row = {"vector": [0.5, 0.5], "weight": 1.0, "impressions": 3, "clicks": 1}
    users = pa.Table.from_pylist([{"user_id": name, **row} for name in names], schema=schemas.USERS)
    days = users.rename_columns(["user_id", "vector_sum", "weight", "impressions", "clicks"])
    for of_users, of_days in (("features/users", "features/user_days"), ("features/user_tastes", "features/user_taste_days")):
        write_partition(store, of_users, day, [users], schema=schemas.USERS)
        write_partition(store, of_days, day, [days], schema=schemas.USER_DAYS)
        write_partition(store, of_days, day, [days.slice(1)], schema=schemas.USER_DAYS)  # leaves the first file over


def ask(platform, names, day: date) -> None:
    platform.put_file("raw/erasures", "requests.parquet", pa.table({"user_id": names, "reason": ["art. 17"] * len(names)}), day)


def hashes(key: bytes) -> list[str]:
    return [pseudonym(name, key) for name in GONE]


def everything(store: FolderStore) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list("") if not key.startswith("reports/data_docs")}  # pages name their run


def test_nobody_forgotten_is_found_anywhere_and_the_certificate_adds_up(context, platform, store, day, pseudonym_key):
    names = hashes(pseudonym_key)
    assert len(keys_with(store, names, *NOTED)) >= 6
    before = {
        dataset: sum(name in names for name in read_partition(store, dataset, day - timedelta(days=1))["user_id"].to_pylist())
        for dataset in ("clean/impressions", "features/users", "features/user_tastes", "features/user_segments")
    }
    assert min(before.values()) > 0
    ask(platform, GONE, day)
    outcome = validate_impressions.run(context(STAGE, day))
    assert keys_with(store, names, *NOTED) == []
    assert keys_with(store, GONE, "raw/") == []
    assert outcome.figures["erased_rows"] > 0
    body = json.loads(store.get(f"certificates/erasures/ds={day}/certificate.json"))
    assert body["finished"]
    assert body["users"] == sorted(names)
    last = str(day - timedelta(days=1))
    for dataset, rows in before.items():
        entry = body["data_sets"][dataset][last]
        assert entry["before"] - entry["after"] == rows
    removed = sum(e["before"] - e["after"] for days in body["data_sets"].values() for e in days.values())
    assert removed == sum(count for rows in body["by_user"].values() for count in rows.values())
    stands = everything(store)
    validate_impressions.run(context(STAGE, day))
    assert everything(store) == stands


def test_forgetting_afterwards_or_before_gives_the_same_clean_bytes(context, platform, store, day, tmp_path):
    early = FolderStore(tmp_path / "early")
    shutil.copytree(store.root, early.root)
    validate_impressions.run(context(STAGE, day))  # first in, forgotten later
    late_request = day + timedelta(days=1)
    ask(platform, GONE, late_request)
    validate_impressions.run(context(STAGE, day))  # a run of a past date lets nobody in again
    body = pa.table({"user_id": GONE})
    write_partition(early, "raw/erasures", late_request, [body], schema=schemas.RAW_ERASURES)
    before = context(STAGE, day)
    validate_impressions.run(replace(before, store=early))
    for part in ("clean/impressions", "quarantine/impressions", "clean/erasures"):
        mine = {key: data for key, data in everything(store).items() if key.startswith(part)}
        assert mine == {key: data for key, data in everything(early).items() if key.startswith(part)}
    clean = find_partition(store, "clean/impressions", day)
    assert clean.metadata["raw_rows"] == clean.rows + sum(clean.metadata["quarantined"].values()) < 400


def test_what_somebody_does_after_the_request_counts_again_and_late_rows_do_not(context, platform, store, day, pseudonym_key):
    yesterday = day - timedelta(days=1)
    ask(platform, GONE, yesterday)
    frame = platform.impression_frame()
    frame["user_id"] = "user-21"
    frame.loc[:49, "shown_at"] = f"{yesterday}T22:00:00Z"
    platform.put_impressions(frame)
    sums = {name: read_partition(store, name, yesterday) for name in ("features/user_days", "features/user_taste_days")}
    for name, table in sums.items():
        assert pseudonym("user-21", pseudonym_key) in table["user_id"].to_pylist()
        write_partition(store, name, day, [table], schema=schemas.USER_DAYS)
    outcome = validate_impressions.run(context(STAGE, day))
    for name, table in sums.items():
        assert read_partition(store, name, day).equals(table)
        assert pseudonym("user-21", pseudonym_key) not in read_partition(store, name, yesterday)["user_id"].to_pylist()
    clean = read_partition(store, "clean/impressions", day)
    assert outcome.figures["erased_rows"] == 50
    assert clean.num_rows == 350
    assert set(clean["user_id"].to_pylist()) == {pseudonym("user-21", pseudonym_key)}
    assert min(clean["shown_at"].to_pylist()).date() == day
    erase.run(context("erase", day))
    assert read_partition(store, "clean/impressions", day).equals(clean)


def test_a_killed_run_is_taken_up_and_certifies_the_whole(context, platform, store, day, tmp_path, monkeypatch):
    ask(platform, GONE, day)
    whole = FolderStore(tmp_path / "whole")
    shutil.copytree(store.root, whole.root)
    erasure.honour_erasures(replace(context("erase", day), store=whole), open_door())
    real, calls = erasure.change_partition, []

    def dying(*words, **options):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*words, **options)

    monkeypatch.setattr(erasure, "change_partition", dying)
    with pytest.raises(KeyboardInterrupt):
        erasure.honour_erasures(context("erase", day), open_door())
    assert not json.loads(store.get(f"certificates/erasures/ds={day}/certificate.json"))["finished"]
    erasure.honour_erasures(context("erase", day), open_door())
    assert everything(store) == everything(whole)


def test_a_request_that_cannot_be_read_stops_the_day(context, platform, store, day):
    store.put(f"raw/erasures/ds={day}/requests.parquet", b"not a table")
    with pytest.raises(GateRefused, match=r"requests for erasure of .* cannot be read.*requests\.parquet"):
        validate_impressions.run(context(STAGE, day))
    ask(platform, ["user-7", None], day)
    with pytest.raises(GateRefused, match="1 of 2 rows without a readable user_id"):
        validate_impressions.run(context(STAGE, day))


def test_the_scan_sees_into_compressed_columns(store):
    table = pa.table({"user_id": ["secret-1"] * 1000})
    write_partition(store, "clean/x", date(2026, 3, 1), [table], schema=table.schema)
    seen = {key.rpartition(" ")[2] for key, data in readable_bytes(store) if b"secret-1" in data}
    assert "user_id" in seen
    assert keys_with(store, ["secret-2"]) == []
