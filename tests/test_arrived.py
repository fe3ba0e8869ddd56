"""Raw data is there when its writer says so: by our manifest or Spark's mark, never by the files alone."""

import json
from datetime import date

import pyarrow as pa
import pytest

from icg_tasks.cli import main
from icg_tasks.contracts import partitions as keys
from icg_tasks.lake.partitions import write_partition
from icg_tasks.lake.store import open_store

DAY = date(2026, 3, 10)


@pytest.mark.parametrize(
    ("mark", "missing"),
    [("_SUCCESS", []), ("part-00000.parquet", [keys.IMPRESSIONS_RAW])],
    ids=["marked as whole", "still being written"],
)
def test_what_is_missing_is_named(tmp_path, capsys, mark, missing):
    store = open_store(str(tmp_path))
    write_partition(store, keys.ITEMS_RAW, DAY, [pa.table({"n": [1]})], schema=pa.schema([("n", pa.int64())]))
    store.put(f"{keys.partition_prefix(keys.IMPRESSIONS_RAW, DAY)}/{mark}", b"")
    assert main(["arrived", "--run-date", DAY.isoformat(), "--set", f"store={tmp_path}"]) == 0
    assert json.loads(capsys.readouterr().out)["figures"]["missing"] == missing


def test_collection_is_a_stage_too(tmp_path, capsys):
    assert main(["collect-covers", "--run-date", DAY.isoformat(), "--dry-run", "--set", f"store={tmp_path}"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["stage"], line["figures"]["dry_run"], line["figures"]["retired"]) == ("collect-covers", True, [])
