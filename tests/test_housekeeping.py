"""What is past its time goes, what anything names stays, and a list comes before any deletion."""

import json
import os
from datetime import date, timedelta

import pyarrow as pa
import pytest

from icg_tasks.cli import main
from icg_tasks.config import load_settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import EXIT_REFUSED, SettingsError
from icg_tasks.housekeeping import look
from icg_tasks.lake.partitions import find_partition, write_partition
from icg_tasks.lake.registry import load_version, publish_version, set_champion
from icg_tasks.lake.store import open_store

DAY = date(2026, 9, 1)
OLD, OLDER = DAY - timedelta(days=150), DAY - timedelta(days=300)
SCHEMA = pa.schema([("n", pa.int64())])
MANIFEST = pa.schema([(name, pa.string()) for name in ("adapter_version", "preference_version", "denoiser_version")])
SETTINGS = load_settings("tiny")


@pytest.fixture
def store(tmp_path):
    found = open_store(str(tmp_path / "store"))
    for dataset in (keys.IMPRESSIONS, keys.USERS, keys.USER_SEGMENTS, keys.QUARANTINE_IMPRESSIONS, keys.IMPRESSIONS_RAW):
        for day in (OLDER, OLD, DAY):
            write_partition(found, dataset, day, [pa.table({"n": [1]})], schema=SCHEMA)
    found.put(f"reports/ds={DAY - timedelta(days=500)}/index.html", b"page" * 50)
    found.put(f"reports/ds={DAY}/index.html", b"page" * 5000)
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file():
            os.utime(path, (1e9, 1e9))  # written long ago by the store's clock
    return found


def settled(tmp_path):
    """Everything was written long ago."""
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file():
            os.utime(path, (1e9, 1e9))


def going(store, kind: str, settings=SETTINGS) -> set[str]:
    return {entry.key for entry in look(store, settings, DAY).going.get(kind, [])}


def test_old_partitions_go_but_never_the_newest_nor_the_platforms_own_log(store):
    data = going(store, "data")
    assert {key.partition("/ds=")[0] for key in data} == {keys.IMPRESSIONS, keys.USERS, keys.USER_SEGMENTS}
    assert {keys.parse_partition_date(key) for key in data} == {OLDER, OLD}
    assert going(store, "raw") == set()
    assert len(going(store, "quarantine")) == 4
    assert going(store, "reports") == {f"reports/ds={DAY - timedelta(days=500)}/index.html"}


def test_what_a_published_date_names_stays(store, tmp_path):
    metadata = {"user_segments": [vars(file) for file in find_partition(store, keys.USER_SEGMENTS, OLD).files]}
    table = pa.table({name: ["adapter"] for name in MANIFEST.names})
    write_partition(store, keys.COVER_MANIFESTS, OLD, [table], schema=MANIFEST, metadata=metadata)
    settled(tmp_path)
    assert {keys.parse_partition_date(key) for key in going(store, "data")} == {OLDER}


def test_weights_go_when_nobody_names_them_and_cards_never(store, tmp_path):
    versions = {name: publish_version(store, "adapter", {"weights.safetensors": name.encode() * 9}, {"name": name})
                for name in ("lost", "first", "worn", "recent", "shown")}  # fmt: skip
    set_champion(store, versions["first"], OLDER, reason="")
    set_champion(store, versions["worn"], OLD, reason="the last before the horizon: dates behind it still use it")
    set_champion(store, versions["recent"], DAY, reason="")
    table = pa.table({name: [versions["shown"].version] for name in MANIFEST.names})
    write_partition(store, keys.COVER_MANIFESTS, OLD, [table], schema=MANIFEST)
    settled(tmp_path)
    assert going(store, "models") == {f"{versions[name].prefix}/weights.safetensors" for name in ("lost", "first")}
    words = ["housekeeping", "--run-date", DAY.isoformat(), "--set", f"store={store.uri.removeprefix('file://')}"]
    assert main([*words, "--set", "housekeeping.max_deleted_share=1.0"]) == 0
    assert going(store, "models") == going(store, "data") == set()
    assert load_version(store, "adapter", versions["lost"].version).card == {"name": "lost"}
    assert store.exists(f"{versions['worn'].prefix}/weights.safetensors")


def test_what_was_written_lately_is_left_alone(store):
    key = f"{keys.IMPRESSIONS}/ds={OLD}/part-00000-000000000000.parquet"
    store.put(key, b"a back-fill of an old date is under way")
    assert key not in going(store, "data")


def test_dry_run_deletes_nothing_and_too_much_is_refused(store, capsys):
    before = list(store.list(""))
    words = ["housekeeping", "--run-date", DAY.isoformat(), "--set", f"store={store.uri.removeprefix('file://')}"]
    assert main([*words, "--dry-run"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["counts"] == {"data": 12, "quarantine": 4, "reports": 1}
    assert line["figures"]["dry_run"] is True
    assert main([*words, "--set", "housekeeping.max_deleted_share=0.001"]) == EXIT_REFUSED
    assert [key for key in store.list("") if not key.startswith("runs/")] == before


def test_data_that_a_day_still_reads_cannot_be_asked_away(store):
    with pytest.raises(SettingsError, match="data_days"):
        look(store, load_settings("tiny", ["housekeeping.data_days=9"]), DAY)
