"""Plug and play: every language model family with every denoiser family, each a tiny random checkpoint of the real classes.

A pair must train (two steps, with gradients from meta tokens to gate), save, reload to the same image, be moved by the user,
and be unmoved at personalisation scale 0. README.md's table is written from what was found (``WRITE_TABLES=1`` rewrites it).
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from icg_tasks.backbones.denoisers.conditioning import Denoiser
from icg_tasks.backbones.denoisers.table import DENOISER_FAMILIES, open_denoiser
from icg_tasks.backbones.device import choose_compute
from icg_tasks.backbones.language.reading import LanguageModel
from icg_tasks.backbones.language.table import LANGUAGE_FAMILIES, open_language_model
from icg_tasks.config.load import load_settings
from icg_tasks.config.settings import Settings
from icg_tasks.models.icg.adapter import IcgAdapter
from icg_tasks.models.icg.fresh import fresh_adapter
from icg_tasks.models.icg.generator import IcgGenerator
from icg_tasks.models.icg.studio import Studio
from tests.backbones.denoisers.tiny import TINY_DENOISERS
from tests.backbones.language.tiny import TINY_LANGUAGE

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN, END = "<!-- compatibility: tests/backbones/test_pairs.py -->", "<!-- end of compatibility -->"
TITLES = ["a lighthouse in the storm", "three owls"]
IMAGES = [Image.new("RGB", (48, 64), (200, 40, 30)), Image.effect_noise((64, 64), 90).convert("RGB")]
USER_WIDTH = 8
PAIRS = [(language, denoiser) for language in TINY_LANGUAGE for denoiser in TINY_DENOISERS]
found_to_work: dict[tuple[str, str], str] = {}


def settings_for(folder: Path, language: str, denoiser: str) -> Settings:
    settings = load_settings("tiny")
    backbones = replace(
        settings.backbones,
        language_model=str(folder / "language" / language),
        language_family=language,
        denoiser=str(folder / "denoiser" / denoiser),
        denoiser_family=denoiser,
    )
    adapter = replace(settings.adapter, num_meta_tokens=4, connector_layers=1, connector_heads=2, num_user_tokens=2)
    covers = replace(settings.covers, size_pixels=32, steps=2, guidance=2.0, batch_size=4)
    return replace(settings, backbones=backbones, adapter=adapter, covers=covers)


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every family's tiny checkpoint, written once, loaded once by the production path."""
    folder = tmp_path_factory.mktemp("stacks")
    compute = choose_compute(load_settings("tiny").backbones)
    first_language, first_denoiser = next(iter(TINY_LANGUAGE)), next(iter(TINY_DENOISERS))
    loaded: dict[str, dict[str, Any]] = {"language": {}, "denoiser": {}, "folder": {"": folder}}
    for family, write in TINY_LANGUAGE.items():
        (folder / "language" / family).mkdir(parents=True)
        write(folder / "language" / family)
        loaded["language"][family] = open_language_model(settings_for(folder, family, first_denoiser).backbones, compute)
    for family, draw in TINY_DENOISERS.items():
        (folder / "denoiser" / family).mkdir(parents=True)
        draw(folder / "denoiser" / family, 3)
        loaded["denoiser"][family] = open_denoiser(settings_for(folder, first_language, family), compute)
    return loaded


def test_every_family_of_the_tables_has_a_tiny_checkpoint() -> None:
    assert set(TINY_LANGUAGE) == set(LANGUAGE_FAMILIES)
    assert set(TINY_DENOISERS) == set(DENOISER_FAMILIES)
    assert len(TINY_LANGUAGE) >= 6
    assert len(TINY_DENOISERS) >= 5


def two_steps(studio: Studio, adapter: IcgAdapter, users: torch.Tensor) -> dict[str, float]:
    """Denoising, text states and a pixel reward, twice; the largest gradient of each part that must learn."""
    language, denoiser = studio.language, studio.denoiser
    optimiser = torch.optim.AdamW(adapter.parameters(), lr=1e-2)
    reading = language.read(TITLES, IMAGES, adapter.config.num_meta_tokens)
    wanted, latents = denoiser.encode_text(TITLES), studio.latents(IMAGES)
    largest: dict[str, float] = {}
    for step in range(2):
        states = language.states(reading, adapter.meta_tokens)
        told = adapter(states, users)
        noise = denoiser.noise([step, step + 9])
        loss = denoiser.denoising_loss(latents, told, noise, torch.tensor([denoiser.num_train_timesteps // 2] * 2)).mean()
        loss = loss + (adapter(states, None).sequence - wanted.sequence).square().mean()
        loss = loss - studio.draw(told, noise, gradient_steps=1)[:, 0].mean()
        optimiser.zero_grad()
        loss.backward()
        for name in ("meta_tokens", "gate", "to_sequence.weight"):
            grad = adapter.get_parameter(name).grad
            assert grad is not None
            assert grad.isfinite().all()
            largest[name] = max(largest.get(name, 0.0), float(grad.abs().max()))
        optimiser.step()
    return largest


@pytest.mark.parametrize(("language_family", "denoiser_family"), PAIRS)
def test_pair_trains_saves_reloads_and_generates(
    stacks: dict[str, dict[str, Any]], tmp_path: Path, language_family: str, denoiser_family: str
) -> None:
    settings = settings_for(stacks["folder"][""], language_family, denoiser_family)
    compute = choose_compute(settings.backbones)
    language: LanguageModel = stacks["language"][language_family]
    denoiser: Denoiser = stacks["denoiser"][denoiser_family]
    judges: Any = None  # no judge is asked here
    studio = Studio(language=language, denoiser=denoiser, judges=judges, compute=compute, guidance=2.0, steps=2)
    adapter = fresh_adapter(studio, settings.adapter, USER_WIDTH)
    adapter.start_at(denoiser.encode_text(TITLES))
    users = torch.eye(USER_WIDTH)[:2] * 3

    def drawn(one: IcgAdapter, told: torch.Tensor | None, scale: float = 1.0) -> torch.Tensor:
        generator = IcgGenerator(one, language, denoiser, settings.covers, compute)
        states = generator.item_states(IMAGES, TITLES)
        return generator.sample(generator.conditions(states, told, scale), seeds=[5, 6])

    untrained = drawn(adapter, users)
    assert torch.equal(untrained, drawn(adapter, None))  # the gate is closed at the start
    adapter.requires_grad_(True).train()
    largest = two_steps(studio, adapter, users)
    assert min(largest.values()) > 0, largest
    trained = drawn(adapter, users)
    for name, data in adapter.files().items():
        (tmp_path / name).write_bytes(data)
    reloaded = IcgAdapter.load(tmp_path)
    assert torch.equal(drawn(reloaded, users), trained)
    assert torch.equal(drawn(reloaded, users, scale=0.0), drawn(reloaded, None))
    assert not torch.equal(trained, untrained)
    assert not torch.equal(trained, drawn(reloaded, None))
    assert trained.shape == (2, 3, 32, 32)
    assert trained.isfinite().all()
    assert trained.std() > 0
    found_to_work[language_family, denoiser_family] = f"{language.width} → {shape_of(denoiser)}"


def shape_of(denoiser: Denoiser) -> str:
    shape = denoiser.shape
    return f"{shape.length} x {shape.width}" + (f" + {shape.pooled}" if shape.pooled else "")


def test_the_readmes_table_says_what_was_found() -> None:
    if len(found_to_work) < len(PAIRS):
        pytest.skip(f"{len(found_to_work)} of {len(PAIRS)} pairs were tried; run the whole file")
    rows = [f"| | {' | '.join(f'`{name}`' for name in TINY_DENOISERS)} |", "|---|" + "---|" * len(TINY_DENOISERS)]
    for language in TINY_LANGUAGE:
        cells = ["yes" if (language, denoiser) in found_to_work else "no" for denoiser in TINY_DENOISERS]
        rows.append(f"| `{language}` | {' | '.join(cells)} |")
    table = "\n".join(rows)
    text = README.read_text()
    before, rest = text.split(BEGIN)
    written, after = rest.split(END)
    if os.environ.get("WRITE_TABLES"):
        README.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}")
        return
    assert written.strip() == table, "run WRITE_TABLES=1 pytest tests/backbones/test_pairs.py and look at README.md"
