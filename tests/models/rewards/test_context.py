from dataclasses import replace

import pytest

from icg_tasks.config.settings import BackboneSettings
from icg_tasks.models.rewards.context import RewardInputError, RewardModels


def saved(model, folder):
    for name, data in model.files().items():
        (folder / name).write_bytes(data)
    return folder


def test_judges_of_one_encoder_are_loaded_together(models, tmp_path):
    folder = saved(replace(models.preference, encoder=models.encoder.identity), tmp_path)
    found = RewardModels.load(BackboneSettings(), folder)
    assert found.preference is not None
    assert found.aesthetic is not None
    assert found.preference.width == found.encoder.embedding_width


def test_a_preference_model_of_another_encoder_is_refused(models, tmp_path):
    folder = saved(replace(models.preference, encoder="former-encoder"), tmp_path)
    with pytest.raises(RewardInputError, match="former-encoder"):
        RewardModels.load(BackboneSettings(), folder)


def test_settings_may_name_no_aesthetic_head():
    assert RewardModels.load(BackboneSettings(aesthetic=""), None).aesthetic is None
