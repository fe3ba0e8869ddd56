"""Raw files of any quality: what can be read is read, the rest is named; sizes are bounded before and after decoding."""

from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.intake.raw import raw_day_exists, read_raw_day
from icg_tasks.lake.folder import FolderStore
from icg_tasks.lake.partitions import write_partition

DAY = date(2026, 3, 10)
PREFIX = f"raw/items/ds={DAY.isoformat()}"
SCHEMA = pa.schema([("x", pa.string())])
TABLE = pa.table({"x": ["a", "b"]}, schema=SCHEMA)
LIMIT = 1_000_000


def read(store: FolderStore, limit: int = LIMIT):
    return read_raw_day(store, "raw/items", DAY, max_file_bytes=limit)


def reasons(day) -> dict[str, str]:
    return {file.key.removeprefix(f"{PREFIX}/"): file.reason for file in day.bad_files}


def test_nothing_there_is_said_with_advice(store, platform):
    assert not raw_day_exists(store, "raw/items", DAY)
    with pytest.raises(DataMissing, match="icg ingest"):
        read(store)


def test_files_without_a_manifest_are_read_also_in_folders_below(store, platform):
    platform.put_file("raw/items", "any name.parquet".replace(" ", "_"), TABLE)
    platform.put_file("raw/items", "hour=01/x.parquet", TABLE)
    day = read(store)
    assert raw_day_exists(store, "raw/items", DAY)
    assert [table.num_rows for table in day.tables.values()] == [2, 2]
    assert day.bad_files == []


def test_left_over_of_an_earlier_write_is_not_read_but_a_foreign_file_is(store, platform):
    write_partition(store, "raw/items", DAY, [pa.table({"x": ["old"]})], schema=SCHEMA)
    write_partition(store, "raw/items", DAY, [TABLE], schema=SCHEMA)
    platform.put_file("raw/items", "later.parquet", pa.table({"x": ["foreign"]}))
    texts = sorted(value for table in read(store).tables.values() for value in table.column("x").to_pylist())
    assert texts == ["a", "b", "foreign"]


def test_every_way_a_file_can_be_bad(store, platform):
    platform.put_file("raw/items", "good.parquet", TABLE)
    store.put(f"{PREFIX}/text.parquet", b"item_id,title\n1,x\n")
    store.put(f"{PREFIX}/empty.parquet", b"")
    whole = store.get(f"{PREFIX}/good.parquet")
    store.put(f"{PREFIX}/torn.parquet", whole[: len(whole) // 2])
    store.put(f"{PREFIX}/notes.csv", b"x")
    store.put(f"{PREFIX}/_SUCCESS", b"")
    (store.root / PREFIX / "odd name.parquet").write_bytes(whole)
    day = read(store)
    assert [table.num_rows for table in day.tables.values()] == [2]
    assert reasons(day) == {
        "text.parquet": "file_unreadable",
        "empty.parquet": "file_unreadable",
        "torn.parquet": "file_unreadable",
        "notes.csv": "file_not_parquet",
        "odd name.parquet": "file_name_unsafe",
    }


def test_lost_rows_are_those_promised_or_guessed_by_size(store, platform):
    partition = write_partition(store, "raw/items", DAY, [TABLE, pa.table({"x": ["c"] * 7})], schema=SCHEMA)
    assert read(store).lost_rows == 0
    store.put(partition.files[1].key, b"junk")
    assert read(store).lost_rows == 7
    store.delete(partition.files[1].key)
    assert reasons(read(store)) == {partition.files[1].key.rpartition("/")[2]: "file_missing"}
    store.put(f"{PREFIX}/foreign.parquet", b"j" * 10 * partition.files[0].size)
    assert read(store).lost_rows == 7 + 20


def test_manifest_of_garbage_is_named_and_the_files_read_all_the_same(store, platform):
    platform.put_file("raw/items", "good.parquet", TABLE)
    for body in (b"{", b"[]", b'{"files": [{"key": "../../x"}], "metadata": {}}', b"\xff"):
        store.put(f"{PREFIX}/_manifest.json", body)
        day = read(store)
        assert [table.num_rows for table in day.tables.values()] == [2]
        assert reasons(day) == {"_manifest.json": "manifest_unreadable"}


def test_manifest_cannot_point_outside_its_day(store, platform):
    platform.put_file("raw/items", "good.parquet", TABLE)
    entry = '{"key": "clean/items/secret.parquet", "rows": 5, "size": 1, "sha256": ""}'
    store.put(f"{PREFIX}/_manifest.json", f'{{"files": [{entry}], "metadata": []}}'.encode())
    day = read(store)
    assert list(day.tables) == [f"{PREFIX}/good.parquet"]
    assert day.metadata == {}


def test_large_files_are_refused_as_stored_and_as_decoded(store, platform):
    platform.put_file("raw/items", "big.parquet", pa.table({"x": [f"{number:050d}" for number in range(2000)]}))
    platform.put_file("raw/items", "bomb.parquet", pa.table({"x": ["y" * 10_000] * 5_000}))
    assert len(store.get(f"{PREFIX}/bomb.parquet")) < 20_000
    day = read(store, limit=30_000_000)
    assert reasons(day) == {"bomb.parquet": "file_too_large"}
    assert reasons(read(store, limit=1_000)) == {"big.parquet": "file_too_large", "bomb.parquet": "file_too_large"}


LONG = "y" * 100_000
BOMBS = {
    "large_string": pa.table({"x": pa.array([LONG] * 500, pa.large_string())}),
    "nested": pa.table({"x": pa.array([[LONG, LONG]] * 250)}),
    "numbers": pa.table({"x": pa.array([7] * 900_000, pa.int64())}),
    "fixed": pa.table({"x": pa.array([LONG.encode()] * 500, pa.binary(len(LONG)))}),
    "text": pa.table({"x": [LONG] * 500}),
}


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_small_files_that_would_fill_the_memory_are_refused_whatever_their_type(store, platform, name):
    platform.put_file("raw/items", "bomb.parquet", BOMBS[name])
    assert len(store.get(f"{PREFIX}/bomb.parquet")) < 100_000
    assert reasons(read(store)) == {"bomb.parquet": "file_too_large"}


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_texts_in_every_encoding_are_read(store, platform, tmp_path, encoding):
    """As Spark (Parquet version 2) and DuckDB write them."""
    table = pa.table({"x": [f"text {number}" for number in range(5_000)], "y": [None] * 4_999 + ["one"]})
    pq.write_table(table, tmp_path / "x.parquet", use_dictionary=False, column_encoding={"x": encoding}, data_page_size=2_000)
    store.put(f"{PREFIX}/odd.parquet", (tmp_path / "x.parquet").read_bytes())
    (found,) = read(store).tables.values()
    assert found.select(["x", "y"]).to_pydict() == table.to_pydict()


def test_a_huge_prefix_that_all_share_is_refused(store, platform, tmp_path):
    table = pa.table({"x": [LONG + f"{number:05d}" for number in range(5_000)], "y": ["short"] * 5_000})
    pq.write_table(table, tmp_path / "x.parquet", use_dictionary=False, column_encoding={"x": "DELTA_BYTE_ARRAY"})
    store.put(f"{PREFIX}/bomb.parquet", (tmp_path / "x.parquet").read_bytes())
    assert (tmp_path / "x.parquet").stat().st_size < 300_000
    assert reasons(read(store)) == {"bomb.parquet": "file_too_large"}


def test_a_text_that_comes_twice_is_kept_as_the_file_has_it(store, platform):
    platform.put_file("raw/items", "x.parquet", pa.table([["a"], ["b"], [1]], names=["x", "x", "n"]))
    (found,) = read(store).tables.values()
    assert sorted(found.column_names) == ["n", "x", "x"]


def test_files_of_another_writer_are_read(store, platform, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "duck.parquet"
    rows = "SELECT 'user-' || i AS user_id, 'item-' || (i % 7) AS item_id, i AS position FROM range(20000) t(i)"
    duckdb.sql(f"COPY ({rows}) TO '{path}' (FORMAT parquet, PARQUET_VERSION 'V2')")
    store.put(f"{PREFIX}/duck.parquet", path.read_bytes())
    (found,) = read(store, limit=1_500_000).tables.values()
    assert found.sort_by("position").select(["user_id", "item_id", "position"]).to_pydict() == {
        "user_id": [f"user-{number}" for number in range(20_000)],
        "item_id": [f"item-{number % 7}" for number in range(20_000)],
        "position": list(range(20_000)),
    }
