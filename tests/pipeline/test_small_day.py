"""A whole small day with the real stages in one process: what stands in the store afterwards, and what bad input does to it."""

import io
import json
import re
import time
from datetime import date, timedelta
from fnmatch import fnmatchcase

import pyarrow as pa
import pytest
from icg_dags.data_sets import FLOWS, data_set_of
from icg_dags.metrics import numbers

from icg_tasks.contracts import partitions, schemas
from icg_tasks.contracts.errors import EXIT_REFUSED
from icg_tasks.contracts.stages import DAY_IN_ORDER
from icg_tasks.lake.partitions import find_partition, read_partition, write_partition
from icg_tasks.lake.store import open_store
from infra.cloud.rights import roles
from tests.conftest import TEST_KEY
from tests.intake.scanning import readable_bytes
from tests.pipeline.conftest import REPOSITORY

DAY = date(2026, 3, 10)
ARMS = {
    "own_cover", "unpersonalised", "unpersonalised_best_of_8", "personalised", "personalised_best_of_8", "swapped",
    "best_achievable",
}  # fmt: skip
PASSING = {partitions.COVER_HOLDS}  # there for a moment: keep a collection from what is being published
METRICS = {"true_click_probability", "true_click_logit", "subject_recognised", "relevance", "aesthetic", "preference"}


def test_every_stage_closes_with_its_line_and_its_partitions(ended_day):
    world, lines = ended_day
    assert set(lines) == set(DAY_IN_ORDER)
    for stage, line in lines.items():
        assert list(line) == ["stage", "run_date", "seconds", "outputs", "counts", "figures"], stage
        assert line["run_date"] == DAY.isoformat()
    for dataset, schema in {
        partitions.IMPRESSIONS: schemas.IMPRESSIONS,
        partitions.ITEMS: schemas.ITEMS,
        partitions.ITEM_FEATURES: schemas.ITEM_FEATURES,
        partitions.USERS: schemas.USERS,
        partitions.SEGMENTS: schemas.SEGMENTS,
        partitions.USER_SEGMENTS: schemas.USER_SEGMENTS,
        partitions.COVER_PLANS: schemas.COVER_PLAN,
        partitions.COVER_MANIFESTS: schemas.COVER_MANIFEST,
    }.items():
        table = read_partition(world.store, dataset, DAY)
        assert table.schema.equals(schema), dataset
        assert table.num_rows > 0, dataset


_OWN = ("runs/", "carry/", "reuse/")  # closing lines and scratch: no data set of anybody's


def test_every_stage_reads_and_writes_the_data_sets_that_it_declares(ended_day):
    world, lines = ended_day
    known = {entry.name for flow in FLOWS.values() for entry in (*flow.reads, *flow.writes)} | PASSING
    faults = []
    for stage in lines:
        touched, flow = world.touched[stage], FLOWS[stage]
        read, written = (
            {data_set_of(key, known) or key for key in seen if not key.startswith(_OWN)} - PASSING
            for seen in (touched.read, touched.written)
        )
        reads, writes = ({entry.name for entry in entries} for entries in (flow.reads, flow.writes))
        must_read, must_write = (
            {entry.name for entry in entries if not entry.sometimes} - {partitions.STAGE_RUNS}
            for entries in (flow.reads, flow.writes)
        )
        faults += [f"{stage} writes {name} and does not say so" for name in written - writes]
        faults += [f"{stage} reads {name} and does not say so" for name in read - reads - writes]
        faults += [f"{stage} says it writes {name}" for name in must_write - written]
        faults += [f"{stage} says it reads {name}" for name in must_read - read]
    assert sorted(faults) == []


def test_counts_that_lineage_tells_as_rows_are_the_rows_written(ended_day):
    world, lines = ended_day
    told = 0
    for stage, line in lines.items():
        for entry in (*FLOWS[stage].reads, *FLOWS[stage].writes):
            if entry.rows:
                assert line["counts"][entry.rows] == read_partition(world.store, entry.name, DAY).num_rows, (stage, entry.name)
                told += 1
    assert told > 8


def test_stages_tell_every_number_that_alerts_read(ended_day):
    world, lines = ended_day
    listed = world.done("housekeeping", DAY, "--dry-run")
    told = {f"{stage}_{name}".replace("-", "_") for stage, line in lines.items() for name, _ in numbers(line)}
    told |= {f"housekeeping_{name}" for name, _ in numbers(listed)} | {"train_pigeon_canaries_moved"}  # as train-adapter
    read = set(re.findall(r"airflow_icg_([a-z_]+)(?![a-z_.])", (REPOSITORY / "infra" / "watch" / "alerts.yaml").read_text()))
    assert len(read) > 10
    assert read - told == set()


def test_every_stage_keeps_to_the_rights_of_its_role(ended_day):
    """What the roles of infra/cloud allow, held against the keys that a day touches."""
    world, lines = ended_day
    roles_by_stage = {stage: role for role in roles() for stage in role.stages}
    denied = []
    for stage in lines:
        touched, role = world.touched[stage], roles_by_stage[stage]
        for asked, allowed in (
            (touched.read, role.readable()), (touched.written, role.writable()), (touched.deleted, role.deletable())
        ):  # fmt: skip
            patterns = [f"{prefix}*" for prefix in allowed]
            denied += [f"{stage}: {key}" for key in asked if not any(fnmatchcase(key, pattern) for pattern in patterns)]
    assert sorted(denied) == []


def test_no_raw_user_id_is_found_downstream(ended_day):
    world, _ = ended_day
    raw = set(read_partition(world.store, partitions.IMPRESSIONS_RAW, DAY)["user_id"].to_pylist()) - {None}
    assert len(raw) > 50
    for dataset in (partitions.IMPRESSIONS, partitions.USERS, partitions.USER_SEGMENTS):
        found = set(read_partition(world.store, dataset, DAY)["user_id"].to_pylist())
        assert found.isdisjoint(raw)
        assert all(len(user) == 32 for user in found)


def test_no_byte_outside_raw_tells_a_raw_id_and_no_users_row_leaves_the_features(ended_day):
    world, _ = ended_day
    raw = sorted(set(read_partition(world.store, partitions.IMPRESSIONS_RAW, DAY)["user_id"].to_pylist()) - {None})
    names = sorted(set(read_partition(world.store, partitions.USERS, DAY)["user_id"].to_pylist()))
    told = re.compile(rb"\bu-\d{7}")
    assert sum(told.fullmatch(name.encode()) is not None for name in raw) > 50
    inside = ("clean/impressions", "quarantine/impressions", "features/user")
    looked = 0
    for key, data in readable_bytes(world.store, "raw/"):
        looked += 1
        assert told.search(data) is None, key
        if not key.startswith(inside):
            assert not any(name.encode() in data for name in names[::20]), key
            if "/indexes/" not in key:  # readers must find a user's segment: a keyed hash in binary, nothing more
                assert not any(bytes.fromhex(name) in data for name in names[::20]), key
    assert looked > 100


def test_malformed_rows_lie_in_quarantine_with_reasons_and_the_day_went_on(ended_day):
    world, _ = ended_day
    table = read_partition(world.store, partitions.QUARANTINE_IMPRESSIONS, DAY)
    assert table.num_rows > 0
    for row in table.to_pylist():
        assert row["reason"]
        assert row["advice"]
        json.loads(row["row_json"])
    clean = read_partition(world.store, partitions.IMPRESSIONS, DAY)
    assert clean.num_rows > 0.9 * read_partition(world.store, partitions.IMPRESSIONS_RAW, DAY).num_rows
    assert len(set(clean["impression_id"].to_pylist())) == clean.num_rows


def test_published_covers_are_images_for_segments_and_for_everyone(ended_day):
    from PIL import Image

    world, _ = ended_day
    rows = read_partition(world.store, partitions.COVER_MANIFESTS, DAY).to_pylist()
    assert {row["segment_id"] for row in rows} > {schemas.EVERYONE}
    for row in rows:
        image = Image.open(io.BytesIO(world.store.get(row["blob"])))
        assert (image.format, image.size) == ("WEBP", (row["width"], row["height"]))
    current = json.loads(world.store.get(partitions.COVERS_CURRENT))
    assert DAY.isoformat() in json.dumps(current)


def test_evaluation_has_every_arm_and_metric_with_intervals(ended_day):
    world, _ = ended_day
    rows = json.loads(world.store.get(f"reports/ds={DAY}/evaluation.json"))
    assert all(set(row) == {"arm", "metric", "mean", "low", "high", "n"} for row in rows)
    found = {(row["arm"], row["metric"]) for row in rows}
    assert {arm for arm, _ in found} >= ARMS
    assert {metric for _, metric in found} >= METRICS
    assert all(row["low"] <= row["mean"] <= row["high"] for row in rows)


def test_report_page_stands_on_its_own_and_shows_both_covers(ended_day):
    world, _ = ended_day
    page = world.store.get(f"reports/ds={DAY}/index.html").decode()
    assert "<html" in page
    assert "personalised" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_reader_finds_a_cover_for_a_user_of_a_top_segment(ended_day):
    from icg_tasks.cli import main

    world, _ = ended_day
    rows = read_partition(world.store, partitions.COVER_MANIFESTS, DAY).to_pylist()
    segment = next(row["segment_id"] for row in rows if row["segment_id"] != schemas.EVERYONE)
    items = {row["item_id"] for row in rows if row["segment_id"] == segment}
    users = read_partition(world.store, partitions.USER_SEGMENTS, DAY).to_pylist()
    user = next(row["user_id"] for row in users if row["segment_id"] == segment)
    words = ["covers", "get", "--user", user, "--hashed", "--item", min(items), "--set", f"store={world.uri}"]
    assert main(words) == 0


def test_the_demos_last_line_asks_for_a_personal_cover_that_is_there(ended_day, monkeypatch, tmp_path, capsys):
    from icg_tasks.cli import main
    from infra.demo.example import example_command, somebody_with_a_cover

    world, _ = ended_day
    user, item = somebody_with_a_cover(world.store, TEST_KEY.encode())
    monkeypatch.chdir(tmp_path)
    command = example_command(world.store, world.uri, tmp_path / ".demo", TEST_KEY.encode())
    assert command == f"ICG_STORE={world.uri} .venv/bin/icg covers get --user {user} --item {item} --out cover.webp"
    capsys.readouterr()
    assert main([*command.split()[2:], "--set", f"store={world.uri}"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["source"], answer["user"]) == ("segment", user)
    assert (tmp_path / "cover.webp").read_bytes()[8:12] == b"WEBP"
    monkeypatch.delenv("ICG_PSEUDONYM_KEY")
    command = example_command(world.store, "s3://bucket/store", tmp_path / ".demo", TEST_KEY.encode())
    assert command.startswith("ICG_STORE=s3://bucket/store ICG_PSEUDONYM_KEY=$(cat .demo/secrets/pseudonym_key) .venv/bin/icg")
    assert example_command(open_store(str(tmp_path / "empty")), "x", tmp_path, TEST_KEY.encode()) is None


def test_garbage_day_is_refused_and_yesterdays_covers_stay(ended_day):
    world, _ = ended_day
    tomorrow = DAY + timedelta(days=1)
    world.done("simulate", tomorrow, "--days", "1")
    table = read_partition(world.store, partitions.IMPRESSIONS_RAW, tomorrow)
    garbage = {name: pa.nulls(table.num_rows, table.schema.field(name).type) for name in table.column_names}
    garbage["user_id"] = pa.array(["\x00'; drop table users; --"] * table.num_rows)
    garbage["clicked"] = pa.array([99] * table.num_rows, pa.int64())
    write_partition(world.store, partitions.IMPRESSIONS_RAW, tomorrow, [pa.table(garbage)], schema=schemas.RAW_IMPRESSIONS)
    before = world.objects("covers/v1/current.json", "covers/v1/manifests")
    world.done("validate-items", tomorrow)
    code, _, said = world.icg("validate-impressions", tomorrow)
    assert code == EXIT_REFUSED
    assert tomorrow.isoformat() in said
    assert find_partition(world.store, partitions.IMPRESSIONS, tomorrow) is None
    assert world.objects("covers/v1/current.json", "covers/v1/manifests") == before


@pytest.mark.parametrize("stage", ["validate-items", "embed-items", "plan-covers", "publish-covers", "report"])
def test_stage_run_again_writes_the_same_bytes(ended_day, stage):
    world, _ = ended_day
    prefixes = ("clean/", "quarantine/", "features/", "covers/", f"reports/ds={DAY}")
    if stage == "report":  # the page tells the seconds of the other stages, and those have just been run again
        world.done(stage)
    before = world.objects(*prefixes)
    started = time.monotonic()
    line = world.done(stage)
    assert line["seconds"] <= time.monotonic() - started + 1
    after = world.objects(*prefixes)
    changed = sorted(key for key in before | after if before.get(key) != after.get(key))
    assert changed == []
