"""Whole-partition writes: the same bytes twice, replaced whole, visible only when complete, damage noticed."""

from datetime import date

import pyarrow as pa
import pytest

from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.lake import partitions

SCHEMA = pa.schema([("name", pa.string()), ("number", pa.int32())])
DAY = date(2026, 3, 10)


def table(*numbers: int) -> pa.Table:
    return pa.table({"number": list(numbers), "name": [f"n{number}" for number in numbers]})


def write(store, *tables: pa.Table, day: date = DAY):
    return partitions.write_partition(store, "clean/things", day, tables, schema=SCHEMA, metadata={"why": "test"})


def test_partition_is_read_as_written_in_its_declared_schema(store):
    written = write(store, table(1, 2), table(3))
    assert written.rows == 3
    found = partitions.read_partition(store, "clean/things", DAY)
    assert found.schema.equals(SCHEMA)
    assert found["number"].to_pylist() == [1, 2, 3]
    assert partitions.read_partition(store, "clean/things", DAY, columns=["name"]).column_names == ["name"]
    assert partitions.find_partition(store, "clean/things", DAY).metadata == {"why": "test"}


def test_same_tables_write_the_same_bytes(store):
    write(store, table(1, 2), table(3))
    before = {key: store.get(key) for key in store.list("clean/")}
    write(store, table(1, 2), table(3))
    assert {key: store.get(key) for key in store.list("clean/")} == before
    assert len(before) == 3


def test_replacing_shows_only_the_new_rows(store):
    write(store, table(1, 2), table(3))
    write(store, table(9))
    assert partitions.read_partition(store, "clean/things", DAY)["number"].to_pylist() == [9]


def test_partition_without_manifest_does_not_exist(store):
    write(store, table(1))
    store.delete(f"clean/things/ds={DAY}/_manifest.json")
    assert partitions.find_partition(store, "clean/things", DAY) is None
    assert partitions.list_partition_dates(store, "clean/things") == []
    with pytest.raises(DataMissing, match="run the stage that writes it"):
        partitions.read_partition(store, "clean/things", DAY)


@pytest.mark.parametrize("damage", ["truncated", "other", "gone"])
def test_damaged_file_is_noticed(store, damage):
    key = write(store, table(1, 2, 3)).files[0].key
    data = store.get(key)
    if damage == "gone":
        store.delete(key)
    else:
        store.put(key, data[: len(data) // 2] if damage == "truncated" else data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises((DataCorrupt, DataMissing), match=r"part-00000"):
        partitions.read_partition(store, "clean/things", DAY)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"files": [{"key": "a"}], "metadata": {}}', b'{"files": []}'])
def test_unreadable_manifest_is_corrupt_not_missing(store, text):
    write(store, table(1))
    store.put(f"clean/things/ds={DAY}/_manifest.json", text)
    with pytest.raises(DataCorrupt, match="clean/things"):
        partitions.find_partition(store, "clean/things", DAY)


def test_table_that_does_not_fit_its_schema_writes_nothing(store):
    with pytest.raises(DataCorrupt, match="declared schema"):
        write(store, pa.table({"name": ["a"], "number": ["not a number"]}))
    with pytest.raises(DataCorrupt, match="declared schema"):
        write(store, pa.table({"name": ["a"]}))
    assert partitions.find_partition(store, "clean/things", DAY) is None


def test_dates_are_those_with_a_manifest_ascending(store):
    days = [date(2026, 3, 9), date(2026, 2, 28), date(2026, 3, 11)]
    for day in days:
        write(store, table(1), day=day)
    store.put("clean/things/ds=2026-03-12/part-0.parquet", b"half")
    store.put("clean/things/ds=someday/_manifest.json", b"{}")
    assert partitions.list_partition_dates(store, "clean/things") == sorted(days)
    assert partitions.latest_partition_before(store, "clean/things", date(2026, 3, 11)) == date(2026, 3, 9)
    assert partitions.latest_partition_before(store, "clean/things", date(2026, 2, 28)) is None


def test_local_files_are_readable_parquet(store, tmp_path):
    import pyarrow.parquet as pq

    written = write(store, table(4, 5), table(6))
    paths = partitions.local_files(store, written, tmp_path / "scratch")
    assert [pq.read_table(path)["number"].to_pylist() for path in paths] == [[4, 5], [6]]
    again = partitions.write_partition_files(store, "clean/copies", DAY, paths)
    assert again.rows == 3
