"""Opening a token model by name: what is refused, and that the refusal says what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.tokens.table import open_token_model
from icg_tasks.contracts.errors import DataCorrupt, DataMissing, SettingsError

CPU = Compute(device=torch.device("cpu"), bfloat16=False)
Folder = Callable[[str], Path]


def test_another_familys_checkpoint_is_named_with_the_setting_that_fits(token_folder: Folder) -> None:
    with pytest.raises(DataCorrupt, match=r"expected model_type janus .*found emu3; set pigeon.token_family=emu3"):
        open_token_model("janus", str(token_folder("emu3")), CPU)


def test_what_cannot_be_opened_is_refused(token_folder: Folder) -> None:
    with pytest.raises(SettingsError, match=r"token_family='lavit'; expected one of janus, emu3"):
        open_token_model("lavit", str(token_folder("janus")), CPU)
    with pytest.raises(SettingsError, match=r"pigeon.token_model is empty; name a janus checkpoint"):
        open_token_model("janus", "", CPU)


def test_parts_that_do_not_fit_each_other_are_corrupt(token_folder: Folder, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(token_folder("janus"), tmp_path / "janus"))
    path = folder / "preprocessor_config.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "size": {"height": 48, "width": 48}}))
    with pytest.raises(DataCorrupt, match=r"makes 48 x 48 pixels, its image tokenizer wants 32 x 32"):
        open_token_model("janus", str(folder), CPU)
    folder = Path(shutil.copytree(token_folder("emu3"), tmp_path / "emu3"))
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(DataMissing, match=r"expected Emu3's image processor"):
        open_token_model("emu3", str(folder), CPU)
