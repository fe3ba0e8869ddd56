"""The public objects are what their JSON Schemas in docs/schemas say, and the examples in docs/examples read them."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.pseudonym import pseudonym
from icg_tasks.contracts.schemas import COVER_MANIFEST
from icg_tasks.covers.checks import encode_webp
from icg_tasks.covers.command import covers_command
from icg_tasks.covers.read import CoverReader
from icg_tasks.evaluation.table import ALL_METRICS
from icg_tasks.lake.partitions import manifest_key, read_partition
from icg_tasks.lake.store import open_store
from tests.conftest import S3_TEST_BUCKET
from tests.covers.conftest import DAY, KEY, House, picture
from tests.covers.test_read import publish_day

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_schema_is_tried() -> None:
    tried = set(re.findall(r'check\("(\w+)"', Path(__file__).read_text()))
    assert {path.name.removesuffix(".schema.json") for path in (DOCS / "schemas").iterdir()} == tried
    assert len(tried) >= 7


def check(name: str, value: Any) -> None:
    schema = json.loads((DOCS / "schemas" / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(value)


@pytest.fixture
def up(house: House) -> House:
    publish_day(house, DAY)
    return house


def test_pointer_and_history(up: House) -> None:
    current = json.loads(up.store.get(keys.COVERS_CURRENT))
    check("current", current)
    assert (current["serial"], current["index"]["rows"]) == (1, 6)
    for name in ("index", "serial"):  # as it was written before there were indexes and a history
        check("current", {key: value for key, value in current.items() if key != name})
    with pytest.raises(jsonschema.ValidationError):
        check("current", current | {"sha256": "short"})


def test_manifest_rows(up: House) -> None:
    rows = read_partition(up.store, keys.COVER_MANIFESTS, DAY).to_pylist()
    assert len(rows) == 6
    for row in rows:
        check("cover_manifest_row", row)
    schema = json.loads((DOCS / "schemas" / "cover_manifest_row.schema.json").read_text())
    assert set(schema["properties"]) == set(COVER_MANIFEST.names)
    with pytest.raises(jsonschema.ValidationError):
        check("cover_manifest_row", rows[0] | {"blob": "../elsewhere.webp"})


def test_cover_answers(up: House, capsys: pytest.CaptureFixture[str]) -> None:
    reader = CoverReader(up.store)
    sources = []
    for user, item in (("ann", "i0"), ("nobody", "i0"), ("ann", "i3")):
        answer = reader.answer(user, item)
        check("cover_answer", answer | {"user": user})
        sources.append(answer["source"])
        covers_command(["get", "--user", user, "--item", item, "--set", f"store={up.store.uri}"])
        said = json.loads(capsys.readouterr().out)
        check("cover_answer", said)
        assert said["cover"] == answer["cover"]
    assert sources == ["segment", "everybody", "own"]
    with pytest.raises(jsonschema.ValidationError):
        check("cover_answer", answer | {"source": "segment"})


def test_segments_of_users_and_manifests_of_partitions(up: House) -> None:
    pointer = json.loads(up.store.get(keys.COVERS_CURRENT))
    rows = pq.read_table(io.BytesIO(up.store.get(pointer["user_segments"][0]["key"]))).to_pylist()
    assert len(rows) == 3
    for row in rows:
        check("user_segment_row", row)
    for dataset in (keys.COVER_MANIFESTS, keys.USER_SEGMENTS):
        manifest = json.loads(up.store.get(manifest_key(dataset, DAY)))
        assert manifest["files"]
        check("partition_manifest", manifest)
    with pytest.raises(jsonschema.ValidationError):
        check("partition_manifest", manifest | {"ds": "yesterday"})
    with pytest.raises(jsonschema.ValidationError):
        check("user_segment_row", rows[0] | {"segment_id": None})


def test_what_verify_says(up: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reader = CoverReader(up.store)
    found = []
    for name, data in (("ours", reader.image(reader.cover("ann", "i0"))), ("other", encode_webp(picture(99), 90))):
        (tmp_path / name).write_bytes(data)
        covers_command(["verify", str(tmp_path / name), "--set", f"store={up.store.uri}"])
        found.append(json.loads(capsys.readouterr().out))
        check("verification", found[-1])
        for row in found[-1]["manifest_rows"]:
            check("cover_manifest_row", row)
    assert [said["genuine"] for said in found] == [True, False]
    with pytest.raises(jsonschema.ValidationError):
        check("verification", found[1] | {"genuine": True})


def test_evaluation_rows() -> None:
    row = {"arm": "personalised", "metric": ALL_METRICS[0], "mean": 0.1, "low": 0.05, "high": None, "n": 132}
    check("evaluation_row", row)
    with pytest.raises(jsonschema.ValidationError):
        check("evaluation_row", row | {"n": -1})


def test_nothing_published_is_an_answer_too(house: House) -> None:
    answer = CoverReader(house.store).answer("ann", "i0")
    check("cover_answer", answer)
    assert (answer["source"], answer["day"]) == ("own", None)


def run_example(name: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, str(DOCS / "examples" / name), *words], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_plain_boto3_reads_what_the_reader_reads(up: House, moto_store_uri: str, tmp_path: Path) -> None:
    s3 = open_store(moto_store_uri)
    for key in up.store.list(""):
        s3.put(key, up.store.get(key))
    prefix = moto_store_uri.removeprefix(f"s3://{S3_TEST_BUCKET}/")
    user, out = pseudonym("ann", KEY.encode()), tmp_path / "cover.webp"
    row = json.loads(run_example("read_with_boto3.py", S3_TEST_BUCKET, prefix, user, "i0", str(out)))
    reader = CoverReader(s3)
    cover = reader.cover("ann", "i0")
    assert (row["cover_id"], row["segment_id"]) == (cover.cover_id, "s0")
    assert out.read_bytes() == reader.image(cover)
    assert json.loads(run_example("read_with_boto3.py", S3_TEST_BUCKET, prefix, user, "i3", str(out))) is None


def test_sql_reads_what_the_reader_reads(up: House) -> None:
    rows = [json.loads(line) for line in run_example("read_with_duckdb.py", up.store.uri).splitlines()]
    assert [(row["segment_id"], row["covers"], row["users"]) for row in rows] == [("_all", 2, None), ("s0", 2, 1), ("s1", 2, 1)]
    assert rows[0]["preference"] == 0.5
