"""A house with real models inside: the shipped backbones, an adapter and a preference model with random weights."""

import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from icg_tasks.backbones.denoisers.table import open_denoiser
from icg_tasks.backbones.device import choose_compute
from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.language.table import open_language_model
from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.config import load_settings
from icg_tasks.config.settings import Settings
from icg_tasks.covers.engine import CoverEngine
from icg_tasks.covers.versions import model_versions
from icg_tasks.lake.registry import publish_version, set_champion
from icg_tasks.lake.store import open_store
from icg_tasks.models.icg.adapter import AdapterConfig, IcgAdapter
from icg_tasks.models.preference.model import PreferenceModel
from icg_tasks.models.preference.network import PreferenceConfig, PreferenceNetwork
from icg_tasks.stage import StageContext
from tests.covers.conftest import DAY, House, fill_inputs

USER_WIDTH = 256
_LOAD = CoverEngine.load.__func__
_ENGINES: dict[str, CoverEngine] = {}


def build_studio(tmp_path: Path) -> House:
    """Four items, two segments planned, champions with random weights; covers of two steps."""
    settings = load_settings(
        "tiny",
        [
            f"store={tmp_path / 'store'}",
            f"work_folder={tmp_path / 'work'}",
            "backbones.precision=float32",
            "backbones.device=cpu",
        ],
    )
    settings = replace(settings, features=replace(settings.features, num_top_segments=2))
    house = House(store=open_store(settings.store), settings=settings)
    house.set(items_per_segment=5, shard_size=4, candidates=2, batch_size=8, steps=2, max_relevance_loss=50.0)
    fill_inputs(house, DAY, width=USER_WIDTH)
    for kind, files in champions(settings).items():
        set_champion(house.store, publish_version(house.store, kind, files, {"note": "random"}), DAY, reason="test")
    return house


def champions(settings: Settings) -> dict[str, dict[str, bytes]]:
    return dict(_champions())


@functools.cache
def _champions() -> tuple[tuple[str, dict[str, bytes]], ...]:
    """Files of a random adapter that listens to users, and of a random preference model; the same in every test."""
    settings = load_settings("tiny", ["backbones.precision=float32", "backbones.device=cpu"])
    compute = choose_compute(settings.backbones)
    denoiser, language = open_denoiser(settings, compute, None), open_language_model(settings.backbones, compute)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        config = AdapterConfig(
            language_width=language.width,
            num_meta_tokens=4,
            width=32,
            layers=1,
            heads=2,
            num_user_tokens=2,
            user_width=USER_WIDTH,
            sequence_length=denoiser.shape.length,
            sequence_width=denoiser.shape.width,
            pooled_width=denoiser.shape.pooled,
        )
        adapter = IcgAdapter(config)
        adapter.start_at(denoiser.encode_text(["The Lake", "A Night in Spring"]))
        with torch.no_grad():
            adapter.gate.fill_(2.0)
        network = PreferenceNetwork(PreferenceConfig(width=USER_WIDTH // 2, rank=4, num_slots=1))
        with torch.no_grad():
            for weights in network.parameters():
                weights.copy_(torch.randn(weights.shape))
    encoder = DualEncoder.load(resolve_checkpoint(settings.backbones.encoder))
    preference = PreferenceModel(network=network, encoder=encoder.identity, score_mean=0.0, score_deviation=1.0)
    return ("adapter", adapter.files()), ("preference", preference.files())


def load_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading the same models again would take seconds in every test: real engines, kept by what they were loaded from."""

    def load(cls: type[CoverEngine], context: StageContext) -> CoverEngine:
        parts: dict[str, Any] = {"covers": vars(context.settings.covers), "backbones": vars(context.settings.backbones)}
        name = json.dumps([parts, model_versions(context).to_json()], sort_keys=True)
        if name not in _ENGINES:
            _ENGINES[name] = _LOAD(cls, context)
        return _ENGINES[name]

    monkeypatch.setattr(CoverEngine, "load", classmethod(load))
