"""Which models a date's covers are made with, as names that change whenever an image could change.

Champions are named by their registry version; a checkpoint in a local folder by a hash of its content, one on a hub by its id.
Knows no tensors.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.stages import ICG, PIGEON, generators_of
from icg_tasks.lake.registry import champion_as_of, require_champion
from icg_tasks.stage import StageContext

ADAPTER, PREFERENCE, DENOISER = "adapter", "preference", "denoiser"
_DRAWN = ("history_mask", "history_mask_ratio", "lone_ratio", "stage", "top_k", "temperature", "guidance")
"""Settings of Pigeon that decide a cover once it is trained."""
_DECISIVE = {".json", ".safetensors", ".txt", ".model"}


@dataclass(frozen=True, kw_only=True)
class ModelVersions:
    """Everything that a generated image, or the choice among candidates, depends on besides the request."""

    generator: str
    adapter: str
    preference: str
    denoiser: str
    backbones: str  # encoder, language model and aesthetic head

    def to_json(self) -> dict[str, str]:
        """Plain values."""
        return asdict(self)


def drawn_by(context: StageContext, generator: str) -> StageContext:
    """The same run with this generator alone."""
    return replace(context, settings=replace(context.settings, generator=generator))


def main_generator(context: StageContext) -> str:
    """The one whose covers readers see; raises SettingsError where settings name one that is not known."""
    return generators_of(context.settings.generator)[0]


def model_versions(context: StageContext) -> ModelVersions:
    """Of the main generator, as of the run date; raises DataMissing where a champion or a checkpoint is not there."""
    return _pigeon(context) if main_generator(context) == PIGEON else _icg(context)


def all_versions(context: StageContext) -> dict[str, ModelVersions]:
    """Of every generator that settings name, the main one first."""
    return {name: model_versions(drawn_by(context, name)) for name in generators_of(context.settings.generator)}


def in_metadata(versions: Mapping[str, ModelVersions]) -> dict[str, Any]:
    """What a plan says of them: ``versions`` of the main one, ``beside`` of the others, by name, where there are any."""
    main, *others = versions
    beside = {name: versions[name].to_json() for name in others}
    return {"versions": versions[main].to_json()} | ({"beside": beside} if beside else {})


def from_metadata(metadata: Mapping[str, Any], generator: str) -> dict[str, str]:
    """What a plan says of one generator; empty where it says nothing."""
    main = dict(metadata.get("versions") or {})
    return main if main.get("generator") == generator else dict((metadata.get("beside") or {}).get(generator) or {})


def _icg(context: StageContext) -> ModelVersions:
    store, day, backbones = context.store, context.run_date, context.settings.backbones
    adapted = champion_as_of(store, DENOISER, day)
    base = checkpoint_name(backbones.denoiser)
    return ModelVersions(
        generator=ICG,
        adapter=require_champion(store, ADAPTER, day).version,
        preference=require_champion(store, PREFERENCE, day).version,
        denoiser=f"{base}+{adapted.version}" if adapted else base,
        backbones=_named([backbones.encoder, backbones.language_model, backbones.aesthetic]),
    )


def _pigeon(context: StageContext) -> ModelVersions:
    """The adapter is the Pigeon, the denoiser its token model; how codes are drawn decides as well as any weight."""
    backbones, settings = context.settings.backbones, context.settings.pigeon
    drawn = {name: getattr(settings, name) for name in _DRAWN}
    named = _named([backbones.encoder, backbones.aesthetic]) + json.dumps(drawn, sort_keys=True)
    return ModelVersions(
        generator=PIGEON,
        adapter=require_champion(context.store, PIGEON, context.run_date).version,
        preference=require_champion(context.store, PREFERENCE, context.run_date).version,
        denoiser=checkpoint_name(settings.token_model),
        backbones=hashlib.sha256(named.encode()).hexdigest()[:16],
    )


def _named(checkpoints: list[str]) -> str:
    named = "\n".join(checkpoint_name(checkpoint) if checkpoint else "" for checkpoint in checkpoints)
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def checkpoint_name(checkpoint: str) -> str:
    """16 hex digits of everything in a local folder that decides what the model computes; a hub id stands for itself."""
    place = resolve_checkpoint(checkpoint)
    folder = Path(place)
    if not folder.is_dir():
        return place
    digest = hashlib.sha256()
    found = 0
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in _DECISIVE:
            with path.open("rb") as handle:
                digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
                digest.update(hashlib.file_digest(handle, "sha256").digest())
            found += path.suffix == ".safetensors"
    if not found:
        raise DataMissing(f"{folder} ({checkpoint}) holds no safetensors weights; name a checkpoint that has them")
    return digest.hexdigest()[:16]
