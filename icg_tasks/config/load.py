"""From a profile name and ``section.field=value`` texts to Settings. A key without effect is an error, never a warning."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from icg_tasks.config.profiles import PROFILES
from icg_tasks.config.settings import Settings
from icg_tasks.contracts.errors import SettingsError

ENVIRONMENT = {
    "ICG_STORE": "store",
    "ICG_WORK_FOLDER": "work_folder",
    "ICG_SPARK_MASTER": "spark.master",
    "ICG_GENERATOR": "generator",
}


def load_settings(profile: str = "tiny", overrides: Iterable[str] = (), environ: Mapping[str, str] | None = None) -> Settings:
    """Settings of a profile, then of the environment (ICG_STORE, …), then of ``overrides`` ("covers.steps=4"), last wins.

    Raises:
        SettingsError: unknown profile or key, or a value of the wrong type.
    """
    if profile not in PROFILES:
        raise SettingsError(f"unknown profile {profile!r}; there are: {', '.join(sorted(PROFILES))}")
    settings = PROFILES[profile]()
    given = [f"{key}={environ[name]}" for name, key in ENVIRONMENT.items() if environ and environ.get(name)]
    for text in [*given, *overrides]:
        path, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"--set {text!r}: expected section.field=value")
        settings = _with_value(settings, path.strip().split("."), value.strip(), path.strip())
    return settings


def _with_value(node: Any, path: list[str], value: str, whole: str) -> Any:
    known = {entry.name for entry in fields(node)}
    if path[0] not in known:
        raise SettingsError(f"--set {whole}: no setting {path[0]!r} here; there are: {', '.join(sorted(known))}")
    old = getattr(node, path[0])
    if is_dataclass(old):
        if len(path) == 1:
            raise SettingsError(f"--set {whole}: is a section; name a field of it: {', '.join(f.name for f in fields(old))}")
        return replace(node, **{path[0]: _with_value(old, path[1:], value, whole)})
    if len(path) > 1:
        raise SettingsError(f"--set {whole}: {path[0]!r} is a value, not a section")
    return replace(node, **{path[0]: _parsed(old, value, whole)})


def _parsed(old: Any, value: str, whole: str) -> Any:
    if isinstance(old, bool):
        if value.lower() not in {"true", "false"}:
            raise SettingsError(f"--set {whole}={value}: expected true or false")
        return value.lower() == "true"
    try:
        return type(old)(value)
    except ValueError as error:
        raise SettingsError(f"--set {whole}={value}: expected {type(old).__name__}") from error
