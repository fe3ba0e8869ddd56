"""Checkpoints survive a kill and belong to one run."""

from pathlib import Path

import torch

from icg_tasks.models.training.checkpoint import discard_checkpoint, load_checkpoint, save_checkpoint


def test_what_was_saved_comes_back_for_the_same_run_only(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    tensors = {"a": torch.randn(3), "b": torch.arange(2)}
    save_checkpoint(folder, tensors, {"identity": "one", "step": 4})
    found = load_checkpoint(folder, "one")
    assert found is not None
    assert found[1]["step"] == 4
    assert all(torch.equal(found[0][name], tensors[name]) for name in tensors)
    assert load_checkpoint(folder, "another") is None
    discard_checkpoint(folder)
    assert load_checkpoint(folder, "one") is None


def test_a_kill_between_two_renames_leaves_the_former_one(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    save_checkpoint(folder, {"a": torch.zeros(1)}, {"identity": "one", "step": 1})
    folder.rename(tmp_path / "checkpoint.old")  # where a kill can strike
    found = load_checkpoint(folder, "one")
    assert found is not None
    assert found[1]["step"] == 1


def test_damaged_files_count_as_none(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    save_checkpoint(folder, {"a": torch.zeros(4)}, {"identity": "one", "step": 1})
    whole = (folder / "state.safetensors").read_bytes()
    (folder / "state.safetensors").write_bytes(whole[: len(whole) // 2])
    assert load_checkpoint(folder, "one") is None
    (folder / "state.json").write_text("{")
    assert load_checkpoint(folder, "one") is None
