"""Every fault of an S3 server or the network to it that was thought of: what becomes of each operation, and what is said.

``TRIED`` is the table (docs/faults.md shows it): the fault, and whether one of it is got over ("retried") or refused at once.
Whatever happens, an object is whole or not there, and the error says what, where and what to do.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from icg_tasks.contracts.errors import IcgError
from icg_tasks.lake.s3 import S3Store
from tests.conftest import REPOSITORY
from tests.faults.conftest import Behind
from tests.faults.proxy import Fault

OLD, NEW = b"what was there before " * 500, b"what comes now " * 900
TRIED: dict[str, tuple[Fault, str, str]] = {
    "500 internal error": (Fault(status=500, code="InternalError"), "retried", "the server fails"),
    "502 from a gateway": (Fault(status=502, code="BadGateway"), "retried", "S3 answered"),
    "503 slow down": (Fault(status=503, code="SlowDown"), "retried", "fewer requests"),
    "504 from a gateway": (Fault(status=504, code="GatewayTimeout"), "retried", "S3 answered"),
    "connection closed unheard": (Fault(reset=True), "retried", "AWS_ENDPOINT_URL and the network"),
    "no answer for longer than the time-out": (Fault(hang=1.6), "retried", "AWS_ENDPOINT_URL and the network"),
    "done, but the answer is lost": (Fault(deaf=True), "retried", "AWS_ENDPOINT_URL and the network"),
    "body cut off half way": (Fault(cut=True), "retried", "arrives damaged"),
    "body stops half way": (Fault(trickle=True), "retried", "arrives damaged"),
    "one bit of the answer turned": (Fault(flip=True), "retried", "arrives damaged"),
    "one bit of the upload turned": (Fault(flip_sent=True), "retried", "damaged on its way to the server"),
    "credentials expired": (Fault(status=400, code="ExpiredToken"), "refused", "renew the credentials"),
    "access denied": (Fault(status=403, code="AccessDenied"), "refused", "AWS_ACCESS_KEY_ID"),
    "clock off": (Fault(status=403, code="RequestTimeTooSkewed"), "refused", "clock"),
    "no such bucket": (Fault(status=404, code="NoSuchBucket"), "refused", "create the bucket"),
    "server's disk full": (Fault(status=507, code="InsufficientStorage"), "refused", "no room left"),
}
BODY_OF_ANSWER = {"body cut off half way", "body stops half way", "one bit of the answer turned"}
TOLD_IN_A_BODY = {"credentials expired", "no such bucket"}  # the answer to HEAD has none: no more than its status is known
BODY_OF_REQUEST = {"one bit of the upload turned"}
Operation = Callable[[S3Store, Path], Any]


def _downloaded(store: S3Store, folder: Path) -> bytes:
    store.download("there", folder / "out")
    return (folder / "out").read_bytes()


def _uploaded(store: S3Store, folder: Path) -> bytes:
    (folder / "in").write_bytes(NEW)
    store.upload("there", folder / "in")
    return store.get("there")


READS: dict[str, Operation] = {
    "get": lambda store, _: store.get("there") == OLD,
    "download": lambda store, folder: _downloaded(store, folder) == OLD,
}
ASKS: dict[str, Operation] = {
    "size": lambda store, _: store.size("there") == len(OLD),
    "list": lambda store, _: list(store.list("")) == ["there"],
}
WRITES: dict[str, Operation] = {
    "put": lambda store, _: store.put("there", NEW) is None,
    "put_if_absent": lambda store, _: store.put_if_absent("absent", NEW),
    "put_if_match": lambda store, _: store.put_if_match("there", NEW, store.etag("there")),
    "upload": lambda store, folder: _uploaded(store, folder) == NEW,
    "delete": lambda store, _: store.delete("there") is None,
}
VERB = {"get": "GET", "download": "GET", "size": "HEAD", "list": "GET", "delete": "DELETE"}


def operations(fault: str) -> list[str]:
    if fault in BODY_OF_ANSWER:
        return [*READS]
    if fault in BODY_OF_REQUEST:
        return [*WRITES][:4]
    asks = [name for name in ASKS if name != "size" or fault not in TOLD_IN_A_BODY]
    return [*READS, *asks, *WRITES]


def cases(quick: set[str], slow: set[str]) -> list[Any]:
    """All of them on a real gateway; on moto a few, but for what moto cannot notice (it compares no checksums)."""
    found = [(fault, operation) for fault in TRIED for operation in operations(fault)]
    moto = [("moto", *case) for case in found if case[1] in quick and case[0] not in BODY_OF_REQUEST]
    real = [pytest.param("rgw", *case, marks=pytest.mark.slow) for case in found if case[1] in slow]
    return [*moto, *real]


ALL = {*READS, *ASKS, *WRITES}


@pytest.mark.parametrize(("behind", "fault", "operation"), cases({"get", "put"}, ALL), indirect=["behind"])
def test_one_fault(behind: Behind, tmp_path: Path, fault: str, operation: str) -> None:
    behind.plain.put("there", OLD)
    what, outcome, said = TRIED[fault]
    behind.proxy.next(what, method=VERB.get(operation, "PUT"))
    work = (READS | ASKS | WRITES)[operation]
    if outcome == "retried":
        assert work(behind.store, tmp_path)
    else:
        with pytest.raises(IcgError, match=said) as found:
            work(behind.store, tmp_path)
        assert "s3://" in str(found.value)
    assert not behind.proxy.orders, "the fault did not happen"
    assert behind.plain.get_with_etag("there") is None or behind.plain.get("there") in {OLD, NEW}
    assert {path.name for path in tmp_path.iterdir()} <= {"in", "out"}


@pytest.mark.parametrize(("behind", "fault", "operation"), cases({"get"}, {"get", "put"}), indirect=["behind"])
def test_a_fault_that_stays(behind: Behind, tmp_path: Path, fault: str, operation: str) -> None:
    behind.plain.put("there", OLD)
    what, _, said = TRIED[fault]
    behind.proxy.next(what, 10_000)
    with pytest.raises(IcgError, match=said) as found:
        (READS | WRITES)[operation](behind.store, tmp_path)
    assert "there" in str(found.value)
    behind.proxy.calm()
    assert behind.plain.get("there") in {OLD, NEW}


@pytest.mark.parametrize("write", ["put_if_absent", "put_if_match"])
def test_who_wins_a_race_without_hearing_of_it_has_won_it(behind: Behind, write: str) -> None:
    behind.plain.put("pointer", OLD)
    etag = behind.plain.etag("pointer")
    behind.proxy.next(Fault(deaf=True), method="PUT")
    key = "claim" if write == "put_if_absent" else "pointer"
    ways = {"claim": lambda: behind.store.put_if_absent(key, NEW), "pointer": lambda: behind.store.put_if_match(key, NEW, etag)}
    assert ways[key]()
    assert behind.plain.get(key) == NEW
    assert not ways[key](), "the very same bytes, but another write"


def test_who_loses_a_race_while_the_server_fails_has_lost_it(behind: Behind) -> None:
    behind.plain.put("claim", NEW)
    behind.proxy.next(Fault(status=500, code="InternalError"), method="PUT")
    assert not behind.store.put_if_absent("claim", NEW), "the same bytes, written by somebody else"


def test_no_server_at_all_is_told(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    nobody = S3Store(behind.store.bucket, "x", timeout_seconds=1.0, attempts=2)
    with pytest.raises(IcgError, match=r"s3://.*check AWS_ENDPOINT_URL"):
        nobody.get("there")


def test_no_credentials_are_told(behind: Behind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it remembers credentials
    with pytest.raises(IcgError, match="AWS_ACCESS_KEY_ID"):
        S3Store(behind.store.bucket, "x", timeout_seconds=1.0, attempts=2).get("there")


def test_an_unfinished_upload_is_swept_once_it_is_old(behind: Behind) -> None:
    client, where = behind.plain._client, {"Bucket": behind.plain.bucket, "Key": behind.plain._full("large")}
    client.create_multipart_upload(**where)
    assert behind.store.sweep(0.0) == 0
    assert behind.store.sweep(4e9) == 1
    assert behind.store.sweep(4e9) == 0


def test_the_table_is_in_the_documentation() -> None:
    text = (REPOSITORY / "docs" / "faults.md").read_text()
    missing = [f"| {fault} | {outcome} |" for fault, (_, outcome, _) in TRIED.items() if f"| {fault} | {outcome}" not in text]
    assert not missing
