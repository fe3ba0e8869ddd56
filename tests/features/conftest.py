"""A small store of features, a tiny dual encoder, and one Spark session for all tests of a process."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from icg_tasks.config.settings import SparkSettings
from icg_tasks.lake.store import ObjectStore, open_store
from tests.features.small_store import DAY, impressions, item_vectors, write_impressions, write_items
from tests.features.tiny_encoder import make_encoder


@pytest.fixture(scope="session")
def spark() -> Iterator[object]:
    from icg_tasks.spark_session import spark_session

    with spark_session(SparkSettings(master="local[1]", shuffle_partitions=2, driver_memory="1g"), "tests") as session:
        yield session


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """Three days of impressions ending with DAY, item vectors of DAY alone (as on a first run)."""
    found = open_store(str(tmp_path / "store"))
    for age in range(3):
        write_impressions(found, DAY - timedelta(days=age), impressions(DAY - timedelta(days=age), seed=age))
    write_items(found, DAY, item_vectors())
    return found


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("encoder"))
