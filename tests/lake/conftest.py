"""The same store tests against every backend: a local folder, a moto server, and (slow) a Ceph RADOS gateway."""

import pytest

from icg_tasks.lake.store import ObjectStore, open_store


@pytest.fixture(params=["folder", "moto", pytest.param("rgw", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path) -> ObjectStore:
    """An empty store."""
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    return open_store(request.getfixturevalue(f"{request.param}_store_uri"))
