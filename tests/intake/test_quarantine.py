"""A quarantined row keeps the raw values, says why and what to do, and never shows a raw user id."""

import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from icg_tasks.contracts.pseudonym import pseudonym
from icg_tasks.contracts.schemas import QUARANTINE
from icg_tasks.intake.quarantine import quarantine_files, quarantine_rows
from icg_tasks.intake.raw import BadFile
from icg_tasks.intake.rules import Rule

KEY = b"sixteen letters!"


def rule(column: str) -> Rule:
    return Rule(reason="r", column=column, expected="better", advice="do it")


def quarantined(table: pa.Table, column: str = "x", declared: tuple[str, ...] = ("user_id", "x")) -> list[dict]:
    found = np.ones(table.num_rows, dtype=np.int32)
    whole = quarantine_rows(
        "raw/f", table, found, [rule(column)], declared=declared, user_name=lambda user: pseudonym(user, KEY)
    )
    assert whole.schema == QUARANTINE
    return whole.to_pylist()


def test_values_of_every_type_become_json():
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"], pa.binary()).buffers())
    for values in (
        pa.array([float("nan")]),
        pa.array([float("inf")]),
        pa.array([datetime(2026, 3, 1, tzinfo=UTC)]),
        pa.array([[1, 2]]),
        pa.array([{"a": b"\xff"}]),
        pa.array([b"\xff"]),
        pa.array(["a"]).dictionary_encode(),
        pa.nulls(1),
        pa.array([2**63], pa.uint64()),
        broken,
    ):
        row = quarantined(pa.table({"x": values}))[0]
        assert set(json.loads(row["row_json"])) == {"x"}
        assert row["detail"].startswith("x is ")


def test_user_is_a_keyed_hash_in_the_row_and_absent_from_the_detail():
    row = quarantined(pa.table({"user_id": ["reader-1"], "x": [1]}), column="user_id")[0]
    assert json.loads(row["row_json"])["user_id"] == pseudonym("reader-1", KEY)
    assert "reader-1" not in json.dumps(row)


def test_user_of_any_type_is_hashed():
    for values in (pa.array([5]), pa.array([5.5]), pa.array([["reader-1"]]), pa.array([True])):
        found = json.loads(quarantined(pa.table({"user_id": values, "x": [1]}))[0]["row_json"])["user_id"]
        assert len(found) == 32


def test_undeclared_columns_stay_out():
    row = quarantined(pa.table({"userid": ["reader-1"], "x": [1]}))[0]
    assert json.loads(row["row_json"]) == {"x": 1}


def test_absent_column_is_said():
    row = quarantined(pa.table({"x": [1]}), column="user_id")[0]
    assert row["detail"] == "the file has no column user_id; expected better"


def test_long_texts_are_cut():
    row = quarantined(pa.table({"x": ["y" * 100_000]}))[0]
    assert len(row["row_json"]) < 3_000
    assert len(row["detail"]) < 200


def test_only_refused_rows_with_their_numbers():
    table = pa.table({"x": ["a", "b", "c"]})
    whole = quarantine_rows("raw/f", table, np.array([0, 1, 0], dtype=np.int32), [rule("x")], declared=["x"], user_name=None)
    assert whole.column("row_number").to_pylist() == [1]
    assert json.loads(whole.column("row_json")[0].as_py()) == {"x": "b"}


def test_files_have_a_row_too():
    row = quarantine_files([BadFile(key="raw/f", reason="file_unreadable", detail="torn")]).to_pylist()[0]
    assert (row["row_number"], row["source"], row["reason"], row["row_json"]) == (-1, "raw/f", "file_unreadable", "{}")
