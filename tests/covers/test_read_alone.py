"""The reader as a recommender installs it: an environment of its own with the extra ``reading``, nothing else of ours."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from icg_tasks.contracts.pseudonym import KEY_VARIABLE, pseudonym
from icg_tasks.covers.read import CoverReader
from icg_tasks.lake.store import open_store
from tests.conftest import S3_TEST_BUCKET
from tests.covers.conftest import DAY, KEY, House
from tests.covers.test_read import publish_day

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "airflow", "pyspark", "pandas", "PIL", "diffusers", "transformers", "great_expectations")
ASK = """
import asyncio, json, sys
from importlib.util import find_spec
from icg_tasks.covers.addresses import cdn
from icg_tasks.covers.read import CoverReader
from icg_tasks.covers.read_async import AsyncCoverReader
from icg_tasks.lake.store import open_store

store = open_store(sys.argv[1])
with CoverReader(store, background=True) as reader:
    answers = [reader.answer(user, item) for user in ("ann", "bob", "nobody") for item in ("i0", "i2", "i3")]
    cover = reader.cover("ann", "i0")
    size, address = len(reader.image(cover)), reader.url(cover)

async def ask():
    async with AsyncCoverReader(CoverReader(store, address_of=cdn("https://covers.example.org"))) as reader:
        cover = await reader.cover("ann", "i0")
        return [cover.cover_id, reader.url(cover)]

print(json.dumps({"answers": answers, "size": size, "address": address, "async": asyncio.run(ask()),
                  "heavy": [name for name in sys.argv[2:] if find_spec(name)]}))
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment; packages come from the index that pip is configured for."""
    folder = tmp_path_factory.mktemp("alone")
    source = folder / "source"
    shutil.copytree(ROOT / "icg_tasks", source / "icg_tasks", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    ran(sys.executable, "-m", "venv", folder / "env")
    python = folder / "env/bin/python"
    ran(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{source}[reading]")
    return python


def ran(*words: object) -> str:
    """Standard output of a command that no path leads from to this project's packages."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, timeout=900, cwd="/", env=outside
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_recommender_needs_the_reading_extra_alone(
    house: House, alone: Path, moto_store_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    publish_day(house, DAY)
    s3 = open_store(moto_store_uri)
    for key in house.store.list(""):
        s3.put(key, house.store.get(key))
    for store in (house.store, s3):
        said = json.loads(ran(alone, "-c", ASK, store.uri, *HEAVY))
        here = CoverReader(store)
        cover = here.cover("ann", "i0")
        assert cover is not None
        assert said["heavy"] == []
        assert said["answers"] == [here.answer(u, i) for u in ("ann", "bob", "nobody") for i in ("i0", "i2", "i3")]
        assert {answer["source"] for answer in said["answers"]} >= {"segment", "everybody", "own"}
        assert said["size"] == len(here.image(cover))
        assert said["async"] == [cover.cover_id, f"https://covers.example.org/{cover.blob}"]
        assert cover.blob in said["address"]
    command = json.loads(
        ran(alone.parent / "icg", "covers", "get", "--user", "ann", "--item", "i0", "--set", f"store={s3.uri}")
    )
    assert command["cover"]["cover_id"] == cover.cover_id
    out, prefix = tmp_path / "cover.webp", moto_store_uri.removeprefix(f"s3://{S3_TEST_BUCKET}/")
    example = ROOT / "docs/examples/read_with_boto3.py"
    row = json.loads(ran(alone, example, S3_TEST_BUCKET, prefix, pseudonym("ann", KEY.encode()), "i0", out))
    assert row["cover_id"] == cover.cover_id
    assert out.read_bytes() == here.image(cover)
