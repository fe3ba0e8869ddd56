"""The Spark side of partial sums: rows of files to files, one shuffle, the same files from any layout of the rows."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from icg_tasks.config.features import EventSettings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas
from icg_tasks.features.spark_hash import bucket_of
from icg_tasks.features.user_blocks import BlockMaker
from icg_tasks.features.user_vectors import collect_sums, day_facts, day_sum_files, residual_rows
from icg_tasks.lake.partitions import read_partition_file, write_partition
from icg_tasks.lake.store import open_store
from tests.features.shown_rows import COVERS, DAY, ITEMS, WIDTH, reference, shown, table_of

DAYS = [DAY, DAY - timedelta(days=1)]
EVENTS = EventSettings()


def rows_of(day, count=300):
    rng = np.random.default_rng(day.day)
    return [
        {
            "user_id": f"user{rng.integers(30):03d}",
            "item_id": ITEMS[rng.integers(len(ITEMS))],
            "cover_id": [None, None, *COVERS, "c2"][rng.integers(5)],
            "surface": ["home", "search"][rng.integers(2)],
            "position": int(rng.integers(3)),
            "clicked": bool(rng.random() < 0.2),
        }
        for _ in range(count)
    ]


def write(store, tables_of_days):
    """A day's rows as one file per table."""
    filled = {}
    for day, tables in tables_of_days.items():
        whole = [pa.Table.from_pylist(table.to_pylist(), schema=schemas.IMPRESSIONS) for table in tables]
        filled[day] = write_partition(store, keys.IMPRESSIONS, day, whole, schema=schemas.IMPRESSIONS)
    return list(filled.values())


def plan(spark, store, parts, vectors):
    facts = day_facts(spark, store, parts, EVENTS)
    rates = {day: found.rates for day, found in facts.items()}
    maker = BlockMaker(events=EVENTS, rates=rates, shown=dict.fromkeys(facts, vectors), num_buckets=2)
    return facts, day_sum_files(spark, store, parts, maker)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    return shown(tmp_path_factory.mktemp("vectors"))


def test_files_hold_the_definitions_sums_whatever_the_layout_of_the_rows(spark, tmp_path, vectors):
    store, other = open_store(str(tmp_path / "a")), open_store(str(tmp_path / "b"))
    tables = {day: table_of(rows_of(day)) for day in DAYS}
    facts, frame = plan(spark, store, write(store, {day: [table] for day, table in tables.items()}), vectors)
    assert {day: found.covers.to_pylist() for day, found in facts.items()} == {day: [*COVERS, "c2"] for day in DAYS}
    files, lost = collect_sums(frame)
    every = [row for day in DAYS for row in rows_of(day)]
    assert lost == (sum(row["item_id"] == ITEMS[4] for row in every), sum(row["cover_id"] == "c2" for row in every))
    for day in DAYS:
        assert [file.key.split("-")[3] for file in files[day]] == ["00000", "00001"]
        table = pa.concat_tables([read_partition_file(store, file, None) for file in files[day]])
        expected = reference(rows_of(day))
        assert len(table) == len(expected) == 30
        for row in table.to_pylist():
            vector, information, impressions, clicks = expected[row["user_id"]]
            assert len(row["vector_sum"]) == WIDTH
            assert row["vector_sum"] == pytest.approx(vector, abs=1e-4)
            assert row["weight"] == pytest.approx(information, abs=1e-4)
            assert (row["impressions"], row["clicks"]) == (impressions, clicks)

    order = np.random.default_rng(0).permutation(300)
    mixed = {day: [table.take(order[:7]), table.take(order[7:200]), table.take(order[200:])] for day, table in tables.items()}
    assert collect_sums(plan(spark, other, write(other, mixed), vectors)[1])[0] == files


def test_plan_has_one_shuffle_and_nothing_per_row(spark, tmp_path, vectors):
    store = open_store(str(tmp_path / "store"))
    frame = plan(spark, store, write(store, {DAY: [table_of(rows_of(DAY, 20))]}), vectors)[1]
    text = frame._jdf.queryExecution().executedPlan().toString()
    assert text.count("MapInArrow") == 2
    assert text.count("Exchange") == 1
    for unwanted in ("Cartesian", "NestedLoop", "BatchEvalPython", "ArrowEvalPython", "Sort", "Collect"):
        assert unwanted not in text


def test_spark_hashes_texts_the_same_way(spark):
    texts = ["", "a", "ab", "abc", "abcd", "abcde", "ü", "€uro und mehr", "日本語テキスト", "0f" * 16]
    found = [
        row[0]
        for row in spark.createDataFrame([(text,) for text in texts], "t string").selectExpr("pmod(hash(t), 7)").collect()
    ]
    assert bucket_of(pa.array(texts), 7).tolist() == found
    assert bucket_of(pa.array(texts).slice(3, 5), 7).tolist() == found[3:8]


def test_residuals_of_rows_leave_generated_covers_out(spark, tmp_path):
    store = open_store(str(tmp_path / "store"))
    rows = rows_of(DAY, 60)
    found = residual_rows(spark, store, write(store, {DAY: [table_of(rows)]}), EVENTS).toArrow().to_pylist()
    assert [(row["user_id"], row["item_id"]) for row in found] == [(row["user_id"], row["item_id"]) for row in rows]
    for row, shown_row in zip(found, rows, strict=True):
        assert (row["information"] == 0) == (shown_row["cover_id"] is not None)
        assert (row["residual"] > 0) == (shown_row["clicked"] and shown_row["cover_id"] is None)
