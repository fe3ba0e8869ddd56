import pytest

from tests.models.preference.planting import Planted, plant


@pytest.fixture(scope="session")
def planted(tmp_path_factory) -> Planted:
    """A small store with a planted taste, written once; tests only read it."""
    return plant(tmp_path_factory.mktemp("planted") / "store")
