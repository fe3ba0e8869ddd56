"""Killed by a real signal in either phase, around a rollback, inside a save: the weights are those of an unbroken run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from icg_tasks.models.icg.adapter import KIND
from tests.conftest import REPOSITORY
from tests.models.icg.planting import plant

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

AFRESH = ["backbones.warm_adapter=", "adapter.alignment_steps=3", "adapter.checkpoint_every=2", "adapter.images_every=0"]
ROLLED_BACK = ["adapter.learning_rate=3.0", "adapter.reward_steps=4", "adapter.checkpoint_every=3", "adapter.images_every=0"]
BEFORE = 2  # looks at the stop sign before the first step


def life(store: str, words: list[str], **fate: int) -> dict[str, object]:
    return {"store": store, "set": words, **fate}


LIVES = [
    life("whole", AFRESH),
    life("broken", AFRESH, signal=9, looks=BEFORE + 1),  # nothing is saved yet
    life("broken", AFRESH, signal=9, looks=BEFORE + 3),  # the alignment is over, its last step is not saved
    life("broken", AFRESH, signal=15, looks=BEFORE + 2),  # asked to stop: one reward step is saved
    life("broken", AFRESH, signal=9, renames=1),  # between the two renames of a save
    life("broken", AFRESH, signal=9, looks=BEFORE + 2),  # after the last step
    life("broken", AFRESH),
    life("whole_back", ROLLED_BACK),
    life("broken_back", ROLLED_BACK, signal=9, looks=BEFORE + 2),  # rolled back, not saved
    life("broken_back", ROLLED_BACK, signal=9, looks=BEFORE + 3),  # saved after the rollback
    life("broken_back", ROLLED_BACK, signal=9, looks=BEFORE + 1),  # rolled back again: over
    life("broken_back", ROLLED_BACK),
]
ENDS = [0, -9, -9, 75, -9, -9, 0, 0, -9, -9, -9, 0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All lives lived."""
    place = tmp_path_factory.mktemp("lives")
    for entry in LIVES:
        if not (place / str(entry["store"])).exists():
            plant(place / str(entry["store"]))
    (place / "plan.json").write_text(json.dumps(LIVES))
    command = [sys.executable, "-m", "tests.models.icg.dying", str(place), str(place / "plan.json")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=1_700)
    assert done.returncode == 0, done.stderr[-3000:]
    (place / "said").write_text(done.stderr)
    assert json.loads(done.stdout.splitlines()[-1]) == ENDS, done.stderr[-3000:]
    return place


def published(folder: Path, name: str) -> tuple[bytes, list[object]]:
    """Weights, and the cards' curves and checks."""
    versions = sorted((folder / name / "store" / "models" / KIND / "versions").iterdir())
    assert versions
    cards = [json.loads((version / "card.json").read_text())["card"] for version in versions]
    course = [[card.get(part) for part in ("role", "curves", "checks", "best_step", "rollbacks")] for card in cards]
    return b"".join((version / "adapter.safetensors").read_bytes() for version in versions), course


@pytest.mark.parametrize(("whole", "broken"), [("whole", "broken"), ("whole_back", "broken_back")])
def test_a_broken_run_ends_where_an_unbroken_one_does(folder: Path, whole: str, broken: str) -> None:
    assert published(folder, broken) == published(folder, whole)


def test_it_was_rolled_back_and_taken_up(folder: Path) -> None:
    assert published(folder, "whole_back")[1][0][4] == 2
    said = (folder / "said").read_text()
    taken_up = [said.count(f"taking up a former run at step {step}") for step in (2, 3, 4, 6)]
    assert taken_up == [1, 1, 3, 1]  # the kill between two renames leaves the checkpoint of step 4 for one more life
