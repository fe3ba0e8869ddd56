"""The lock: complete, and free of the pairs that corrupt each other."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PINS = dict(
    line.split("==") for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")
)


def name_of(requirement: str) -> str:
    return re.split(r"[\[><=! ]", requirement)[0].lower().replace("_", "-")


def test_pyspark_and_its_client_are_the_same_version_in_lock_and_environment():
    """They install over the same folder; unequal versions corrupt each other silently."""
    assert PINS["pyspark"] == PINS["pyspark-client"]
    assert version("pyspark") == version("pyspark-client") == PINS["pyspark"]


def test_every_requirement_is_pinned():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(entry for extra in project["optional-dependencies"].values() for entry in extra)]
    assert len(wanted) > 30
    assert {name_of(entry) for entry in wanted} <= set(PINS)


def test_torch_is_pinned_without_a_build():
    """A local version (+cpu) in the lock would keep the CUDA build from machines that have a GPU."""
    assert re.fullmatch(r"[0-9.]+", PINS["torch"])
    assert [pin for pin in PINS.values() if "+" in pin] == []


def test_onnx_runtime_is_the_build_that_can_do_both():
    assert "onnxruntime-gpu" in PINS
    assert "onnxruntime" not in PINS


def test_great_expectations_stands_alone():
    assert "airflow-provider-great-expectations" not in PINS
    assert PINS["great-expectations"].startswith("1.")


def test_environment_is_what_the_lock_says():
    for name in ("apache-airflow", "great-expectations", "transformers", "diffusers", "pyarrow", "numpy", "moto"):
        assert version(name) == PINS[name]
