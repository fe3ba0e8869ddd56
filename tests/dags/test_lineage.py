"""What OpenLineage gets of a day: real events of whole runs, read back from its file transport; the stages are stubs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from icg_dags.data_sets import FLOWS, SCHEMAS
from icg_dags.lineage import store_uri
from icg_dags.needs import NEEDS

from icg_tasks.contracts import schemas, stages
from icg_tasks.contracts.stages import DAY_IN_ORDER
from infra.cloud.rights import RIGHTS, SPARK_STAGES

REPOSITORY = Path(__file__).resolve().parents[2]
DAY = "2026-03-10"
_RUN = """
import sys
sys.path.insert(0, "dags")
from datetime import UTC, datetime
from airflow.dag_processing.dagbag import DagBag
run = DagBag("dags").dags["icg_daily"].test(logical_date=datetime(2026, 3, 10, tzinfo=UTC), run_conf={})
sys.exit(0 if run.state == "success" else 1)
"""


def events_of_a_day(folder: Path, more: dict[str, str]) -> tuple[int, list[dict]]:
    """Exit code of a Dag's run in a process of its own (Airflow reads its configuration once), and its events in order."""
    transport = json.dumps({"type": "file", "log_file_path": str(folder / "events"), "append": True})
    environment = os.environ | {"AIRFLOW__OPENLINEAGE__TRANSPORT": transport, "AIRFLOW__OPENLINEAGE__NAMESPACE": "icg"} | more
    done = subprocess.run(
        [sys.executable, "-c", _RUN], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=900
    )
    assert (folder / "events").exists(), done.stderr[-3000:]
    return done.returncode, [json.loads(line) for line in (folder / "events").read_text().splitlines()]


def of_stage(events: list[dict], stage: str, kind: str) -> list[dict]:
    return [event for event in events if event["eventType"] == kind and event["job"]["name"].split(".")[-1] == stage]


def names(sets: list[dict]) -> set[str]:
    return {entry["name"] for entry in sets}


def test_every_stage_says_what_it_reads_and_writes():
    assert set(FLOWS) == set(NEEDS) | set(SPARK_STAGES) | set(stages.ALL_IN_ORDER)
    silent = {stages.ARRIVED, stages.HOUSEKEEPING}  # write nothing: one looks, the other takes away
    for stage, flow in FLOWS.items():
        assert flow.reads, stage
        assert bool(flow.writes) == (stage not in silent), stage


def test_every_table_has_its_columns():
    known = {id(value) for value in vars(schemas).values() if type(value).__name__ == "Schema"}
    assert len(known) > 15
    assert {id(schema) for schema in SCHEMAS.values()} == known


@pytest.mark.parametrize("stage", sorted(FLOWS))
def test_what_a_stage_says_is_what_its_role_may(stage):
    rights = RIGHTS[stage]
    for entry in FLOWS[stage].writes:
        assert any(f"{entry.name}/".startswith(prefix) or entry.name == prefix for prefix in rights.writes), entry
    for entry in FLOWS[stage].reads:
        allowed = (*rights.reads, *rights.writes)
        assert any(f"{entry.name}/".startswith(prefix) or entry.name == prefix for prefix in allowed), entry


def test_store_of_a_run_wins_over_the_workers():
    environ = {"ICG_SET": "store=/a covers.steps=4", "ICG_STORE": "s3://bucket/b"}
    assert store_uri("", environ) == "/a"
    assert store_uri("store=/c", environ) == "/c"
    assert store_uri("", {"ICG_STORE": "s3://bucket/b"}) == "s3://bucket/b"
    assert store_uri("", {}) == ""


@pytest.mark.parametrize("shards", ["[0]"])
def test_day_tells_every_stage_with_its_data_sets_columns_and_rows(airflow_database, commands, tmp_path):
    code, events = events_of_a_day(tmp_path, {"ICG_STORE": "s3://bucket/covers"})
    assert code == 0
    assert {event["job"]["namespace"] for event in events} == {"icg"}
    for stage in DAY_IN_ORDER:
        [ended], [begun] = of_stage(events, stage, "COMPLETE"), of_stage(events, stage, "START")
        for event, sides in ((begun, ("inputs", "outputs")), (ended, ("inputs", "outputs"))):
            for side in sides:
                flow = FLOWS[stage].reads if side == "inputs" else FLOWS[stage].writes
                assert len(event[side]) == len(flow), stage
                assert {entry["namespace"] for entry in event[side]} == {"s3://bucket"}
        assert ended["run"]["facets"]["parent"]["job"]["name"] == "icg_daily"
    [embedded] = of_stage(events, "embed-items", "COMPLETE")
    assert names(embedded["inputs"]) == {f"covers/clean/items/ds={DAY}", "covers/raw/images"}
    [output] = embedded["outputs"]
    assert output["name"] == f"covers/features/items/ds={DAY}"
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 7
    assert [(field["name"], field["type"]) for field in output["facets"]["schema"]["fields"]] == [
        ("item_id", "string"), ("content_hash", "string"), ("encoder", "string"), ("vector", "list<item: float>"),
    ]  # fmt: skip
    assert output["facets"]["symlinks"]["identifiers"][0]["name"] == "covers/features/items"
    [segments] = of_stage(events, "assign-segments", "COMPLETE")  # by spark-submit
    assert names(segments["outputs"]) == {f"covers/features/{name}/ds={DAY}" for name in ("segments", "user_segments")}
    [whole] = [event["eventType"] for event in events if event["job"]["name"] == "icg_daily"]
    assert whole == "COMPLETE"  # its START is the scheduler's, which is not here


def test_failed_stage_wrote_nothing_and_skipped_ones_neither(airflow_database, commands, tmp_path):
    commands.fail("embed-items", code=3, times=9)
    code, events = events_of_a_day(tmp_path, {"ICG_STORE": str(tmp_path / "store")})
    assert code == 1
    [failed] = of_stage(events, "embed-items", "FAIL")
    assert failed["outputs"] == []
    assert {entry["namespace"] for entry in failed["inputs"]} == {"file"}
    assert names(failed["inputs"]) == {f"{tmp_path}/store/clean/items/ds={DAY}", f"{tmp_path}/store/raw/images"}
    assert of_stage(events, "report", "COMPLETE") == []
