"""What an image build does, replayed in an empty folder: the extras by the lock, the command, the bill of materials."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from infra.images.__main__ import IMAGES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

REPOSITORY = Path(__file__).resolve().parents[2]
HOLDS = {"validation": "great-expectations", "training": "torch", "reading": "boto3", "spark": "pyspark",
         "orchestration": "apache-airflow", "machine": "apache-airflow"}  # fmt: skip


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_image_steps_in_an_empty_folder(image, tmp_path):
    prefix = tmp_path / "icg"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "PYTHON"))}
    words = ["bash", "infra/images/install.sh", str(prefix), image.extras]
    done = subprocess.run(words, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=3000)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    elsewhere = environment | {
        "PATH": f"{prefix}/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "ICG_STORE": str(tmp_path / "store"),
    }
    for command in (["icg", "--help"], ["icg", "covers", "list"]):
        subprocess.run(command, cwd=tmp_path, env=elsewhere, check=True, capture_output=True, timeout=300)
    bill = json.loads((prefix / "sbom.cdx.json").read_text())
    names = {component["name"].lower() for component in bill["components"]}
    assert bill["bomFormat"] == "CycloneDX"
    assert {"icg-covers", HOLDS[image.name]} <= names
    assert "pytest" not in names, "nothing of development is in an image"
