"""Two launched processes do what one does with twice the batch, stop together, resume, and publish once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from icg_tasks.models.pigeon.model import KIND
from tests.conftest import REPOSITORY, free_port
from tests.models.pigeon.planting import plant

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, janus_folder: Path) -> Path:
    """Planted, then trained by one process with a batch of 4 and by two with 2 each."""
    planted = tmp_path_factory.mktemp("together")
    plant(planted, janus_folder)
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", str(free_port()), "-m"]
    for number, words in enumerate((["-m"], launch)):
        batch = ("4", "2")[number]
        command = [sys.executable, *words, "tests.models.pigeon.together", str(planted), str(janus_folder), batch]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HOME": str(planted)}
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=800
        )
        assert done.returncode == 0, done.stderr[-3000:]
        (planted / f"said{number + 1}").write_text(done.stdout + done.stderr)
    return planted


def test_two_processes_have_the_gradients_of_one_with_the_doubled_batch(folder: Path) -> None:
    one, two = (safetensors.torch.load_file(folder / f"of{count}") for count in (1, 2))
    assert one.keys() == two.keys()
    assert {name.partition(".")[0] for name in one} == {"first", "second", "pairs"}
    for kind in ("first", "second"):
        ours, theirs = (
            torch.cat([part.flatten() for name, part in sorted(found.items()) if name.startswith(kind)]) for found in (one, two)
        )
        assert ours.norm() > 1e-4
        assert (ours - theirs).norm() < 1e-3 * ours.norm()


def test_pairs_are_the_same_whoever_wrote_them(folder: Path) -> None:
    one, two = (safetensors.torch.load_file(folder / f"of{count}") for count in (1, 2))
    names = [name for name in one if name.startswith("pairs.")]
    assert len(one["pairs.window_P"]) == 3
    for name in names:
        assert torch.allclose(one[name], two[name], atol=1e-4), name


def test_they_stop_together_go_on_and_publish_once(folder: Path) -> None:
    said = (folder / "said2").read_text()
    assert "process 0: another process was asked to stop" in said
    assert "process 1: asked to stop" in said
    assert said.count("taking up a former run at step 1 of preference") == 1
    assert said.count("outcome ") >= 1
    versions = list((folder / "store" / "models" / KIND / "versions").iterdir())
    assert len(versions) == 1
    card = json.loads((versions[0] / "card.json").read_text())["card"]
    assert [row["step"] for row in card["curves"]] == [1, 2, 3, 4, 5]
