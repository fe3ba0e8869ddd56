"""Two launched processes do what one does with twice the batch, stop together, resume, and publish once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from icg_tasks.models.icg.adapter import KIND
from tests.conftest import REPOSITORY, free_port
from tests.models.icg.planting import plant

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Planted, then trained by one process with a batch of 8 and by two with 4 each."""
    planted = tmp_path_factory.mktemp("together")
    plant(planted)
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", str(free_port()), "-m"]
    for number, words in enumerate((["-m"], launch)):
        command = [sys.executable, *words, "tests.models.icg.together", str(planted), ("8", "4")[number]]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HOME": str(planted)}
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=800
        )
        assert done.returncode == 0, done.stderr[-3000:]
        (planted / f"said{number + 1}").write_text(done.stdout + done.stderr)
    return planted


def test_two_processes_have_the_gradients_of_one_with_the_doubled_batch(folder: Path) -> None:
    one, two = (safetensors.torch.load_file(folder / f"of{count}" / "gradients.safetensors") for count in (1, 2))
    assert one.keys() == two.keys()
    assert {name.partition(".")[0] for name in one} == {"alignment", "reward", "imitation"}
    for kind in ("alignment", "reward", "imitation"):
        ours, theirs = (
            torch.cat([part.flatten() for name, part in sorted(found.items()) if name.startswith(kind)]) for found in (one, two)
        )
        assert ours.norm() > 1e-4
        assert (ours - theirs).norm() < 1e-4 * ours.norm()


def test_running_scales_and_figures_are_of_all_rows(folder: Path) -> None:
    one, two = (json.loads((folder / f"of{count}" / "figures.json").read_text()) for count in (1, 2))
    assert set(one[1]["moments"]) == {"preference", "relevance", "aesthetic"}
    for name, moments in one[1]["moments"].items():
        assert two[1]["moments"][name] == pytest.approx(moments, rel=1e-4, abs=1e-6)
    for row, other in zip(one, two, strict=True):
        assert other["curve"] == pytest.approx(row["curve"], rel=1e-3, abs=1e-4)


def test_they_stop_together_go_on_and_publish_once(folder: Path) -> None:
    said = (folder / "said2").read_text()
    assert "process 0: another process was asked to stop" in said
    assert "process 1: asked to stop" in said
    assert said.count("taking up a former run at step 2") == 1
    outcomes = [json.loads(line.removeprefix("outcome ")) for line in said.splitlines() if line.startswith("outcome ")]
    assert len(outcomes) == 1  # the other process ends without a closing line
    assert outcomes[0]["steps"] == 3
    assert len(list((folder / "store" / "models" / KIND / "versions").iterdir())) >= 1
    assert not list((folder / "work").rglob("checkpoint*"))
