from datetime import timedelta

import pytest

from icg_tasks.config.settings import SparkSettings
from icg_tasks.contracts import schemas
from icg_tasks.contracts.errors import IcgError
from icg_tasks.features import spark_partitions
from icg_tasks.features.spark_partitions import bucketed, read_days, write_days
from icg_tasks.lake.partitions import find_partition, read_partition
from icg_tasks.lake.store import open_store
from icg_tasks.spark_session import spark_session
from tests.features.small_store import DAY

NEXT = DAY + timedelta(days=1)
DATASET = "features/user_segments"
SCHEMA = schemas.USER_SEGMENTS


def rows(day, count):
    return [(day.isoformat(), f"user{number:02d}", f"s{number % 3}") for number in range(count)]


def write(spark, store, rows_of_days, days):
    frame = bucketed(spark.createDataFrame(rows_of_days, "ds string, user_id string, segment_id string"), "user_id", 2)
    return write_days(frame, store, DATASET, {day: {"of": day.isoformat()} for day in days}, schema=SCHEMA, key="user_id")


def test_written_days_read_back_whole_and_empty_days_are_there(spark, tmp_path):
    store = open_store(str(tmp_path / "store"))
    written = write(spark, store, rows(DAY, 20), [DAY, NEXT])
    assert written[DAY] == find_partition(store, DATASET, DAY)
    table = read_partition(store, DATASET, DAY)
    assert table.schema.equals(SCHEMA)
    assert sorted(table["user_id"].to_pylist()) == [f"user{number:02d}" for number in range(20)]
    assert read_partition(store, DATASET, NEXT).num_rows == 0
    back = read_days(spark, store, [written[DAY], written[NEXT]], SCHEMA, scratch=tmp_path)
    assert sorted(map(tuple, back.collect())) == rows(DAY, 20)


def test_a_days_bytes_do_not_depend_on_what_is_written_with_it(spark, tmp_path):
    alone, together = open_store(str(tmp_path / "a")), open_store(str(tmp_path / "b"))
    write(spark, alone, rows(DAY, 9), [DAY])
    write(spark, together, [*reversed(rows(NEXT, 30)), *reversed(rows(DAY, 9))], [DAY, NEXT])
    assert find_partition(alone, DATASET, DAY) == find_partition(together, DATASET, DAY)


def test_executors_read_and_write_a_remote_store_by_themselves(spark, moto_store_uri, moto_variables, tmp_path, monkeypatch):
    for name, value in moto_variables.items():  # the JVM of this session may be older than the server
        monkeypatch.setitem(spark.sparkContext.environment, name, value)
    store = open_store(moto_store_uri)
    written = write(spark, store, rows(DAY, 7), [DAY])
    downloaded = read_days(spark, store, [written[DAY]], SCHEMA, scratch=tmp_path)
    assert sorted(map(tuple, downloaded.collect())) == rows(DAY, 7)
    monkeypatch.setattr(spark_partitions, "is_local", lambda _: False)  # what a cluster answers
    fetched = read_days(spark, store, [written[DAY]], SCHEMA, scratch=tmp_path / "unused")
    assert sorted(map(tuple, fetched.collect())) == rows(DAY, 7)
    assert not (tmp_path / "unused").exists()


def test_a_failure_in_a_worker_is_told_in_one_line(spark, tmp_path):
    def broken(batches):
        raise ValueError("the worker says no")
        yield from batches

    with pytest.raises(IcgError, match="the worker says no"), spark_session(SparkSettings(), "inner") as inner:
        inner.range(3).mapInArrow(broken, "id long").collect()
    assert spark.range(2).count() == 2  # a session that was there before stays


def test_schema_mismatch_is_refused(spark, tmp_path):
    store = open_store(str(tmp_path / "store"))
    frame = bucketed(spark.createDataFrame([("2026-03-04", "u", "s")], "ds string, user_id string, other string"), "user_id", 1)
    with pytest.raises(IcgError, match="does not fit its declared schema"), spark_session(SparkSettings(), "inner"):
        write_days(frame, store, DATASET, {DAY: {}}, schema=SCHEMA, key="user_id")
    assert find_partition(store, DATASET, DAY) is None
