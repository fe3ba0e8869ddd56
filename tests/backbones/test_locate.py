"""Where checkpoints are."""

from pathlib import Path

import pytest

from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.contracts.errors import DataMissing, SettingsError


def test_zoo_names_lead_to_the_shipped_folder_and_others_stay_as_they_are() -> None:
    assert (Path(resolve_checkpoint("zoo:dual_encoder")) / "config.json").is_file()
    assert resolve_checkpoint("Qwen/Qwen2.5-VL-3B-Instruct") == "Qwen/Qwen2.5-VL-3B-Instruct"


@pytest.mark.parametrize("name", ["", "  ", "zoo:", "zoo:..", "zoo:../icg_tasks", "zoo:a/b"])
def test_a_name_that_leads_nowhere_or_out_of_the_zoo_is_refused(name: str) -> None:
    with pytest.raises(SettingsError):
        resolve_checkpoint(name)


def test_a_part_that_is_not_shipped_says_what_to_do() -> None:
    with pytest.raises(DataMissing, match="make zoo"):
        resolve_checkpoint("zoo:no_such_part")
