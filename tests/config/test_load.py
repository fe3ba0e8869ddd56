"""Settings: profiles, the environment, overrides; a key without effect is an error."""

from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from icg_tasks.config import load_settings
from icg_tasks.config.profiles import PROFILES
from icg_tasks.contracts.errors import SettingsError


def leaves(node: Any, path: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for field in fields(node):
        value = getattr(node, field.name)
        name = f"{path}{field.name}"
        found += leaves(value, f"{name}.") if is_dataclass(value) else [(name, value)]
    return found


def test_last_word_wins_profile_then_environment_then_overrides():
    environment = {"ICG_STORE": "s3://bucket/from-environment", "ICG_SPARK_MASTER": "yarn"}
    settings = load_settings("tiny", ["store=/from/override", "world.seed=9", "world.seed=11"], environ=environment)
    assert settings.store == "/from/override"
    assert settings.spark.master == "yarn"
    assert settings.world.seed == 11
    assert load_settings("tiny").world.seed == 7


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_leaf_is_a_plain_value_that_an_override_can_reach(profile):
    found = leaves(load_settings(profile))
    assert len(found) > 60
    for name, value in found:
        assert isinstance(value, bool | int | float | str), name
        text = str(value).lower() if isinstance(value, bool) else str(value)
        assert dict(leaves(load_settings(profile, [f"{name}={text}"])))[name] == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("world.sead=3", "no setting 'sead'"),
        ("wrold.seed=3", "no setting 'wrold'"),
        ("world=3", "is a section"),
        ("store.bucket=x", "is a value"),
        ("world.seed=three", "expected int"),
        ("world.seed=3.5", "expected int"),
        ("covers.guidance=high", "expected float"),
        ("world.seed", "section.field=value"),
    ],
)
def test_what_cannot_take_effect_is_refused_with_its_reason(text, says):
    with pytest.raises(SettingsError, match=says):
        load_settings("tiny", [text])


def test_unknown_profile_names_the_known_ones():
    with pytest.raises(SettingsError, match="production, tiny"):
        load_settings("huge")


def test_production_needs_no_shipped_checkpoint():
    shipped = [
        name for name, value in leaves(load_settings("production")) if isinstance(value, str) and value.startswith("zoo:")
    ]
    assert shipped == []
