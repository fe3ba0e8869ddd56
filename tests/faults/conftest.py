"""An S3 store that is reached through a proxy with faults: moto always, Ceph's gateway among the slow tests."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from icg_tasks.lake.s3 import S3Store
from tests.conftest import S3_TEST_BUCKET
from tests.faults.proxy import FaultyProxy, proxied


@dataclass
class Behind:
    """``store`` goes through ``proxy``; ``plain`` does not."""

    proxy: FaultyProxy
    store: S3Store
    plain: S3Store
    name: str


@pytest.fixture(params=["moto", pytest.param("rgw", marks=pytest.mark.slow)])
def behind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Behind]:
    uri = request.getfixturevalue(f"{request.param}_store_uri")
    variables = request.getfixturevalue(f"{request.param}_variables")
    prefix = uri.removeprefix(f"s3://{S3_TEST_BUCKET}/")
    plain = S3Store(S3_TEST_BUCKET, prefix)
    with proxied(variables["AWS_ENDPOINT_URL"]) as (proxy, address):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield Behind(proxy, S3Store(S3_TEST_BUCKET, prefix, timeout_seconds=1.0, attempts=3), plain, request.param)
