"""Trains the warm ICG adapter on simulated readerships of worlds whose seeds no demonstration uses.

It learns the denoiser's language: titles and covers of drawn items to the states of a caption that names the subject alone
(nobody special), or also the look that a preference model trained on simulated clicks scores highest for a user vector. No
oracle, and no rewards: tuned by rewards on those worlds it served a new world worse (see DECISIONS); each day's training tunes
it on the day's own. Run: ``python -m zoo.recipe adapter`` after ``denoiser`` and ``language``; writes zoo/adapter.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from icg_tasks.backbones.denoisers.conditioning import Conditioning, Denoiser
from icg_tasks.backbones.denoisers.table import open_denoiser
from icg_tasks.backbones.device import choose_compute
from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.backbones.language.reading import LanguageModel, Reading
from icg_tasks.backbones.language.table import open_language_model
from icg_tasks.config.settings import Settings
from icg_tasks.models.icg.adapter import AdapterConfig, IcgAdapter
from icg_tasks.world import SUBJECTS, CoverAttributes, all_looks, caption, draw_cover, sample_attributes
from zoo.recipe.pool import text_for
from zoo.recipe.tastes import NOBODY, SEEDS, People, draw_looks, draw_users, gather_people
from zoo.recipe.workshop import ZOO, Plan, device, log, replace_folder, train

_ITEMS: Final = 2_048
_READ_AT_ONCE: Final = 32
_READINGS_PER_STEP: Final = 2
_ITEM_SEED: Final = 7_000_000
PLAN: Final = Plan(
    name="adapter",
    steps=4600,
    learning_rate=1.5e-3,
    warmup=100,
    average_decay=0.995,
    export_every=1000,
    save_every=250,
    seed=61,
)

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """Drawn items, read once by the language model: ``subjects`` per reading."""

    readings: list[Reading]
    subjects: list[Tensor]


def draw_shelf(language: LanguageModel, num_tokens: int, count: int, seed: int, *, held_out: bool = False) -> Shelf:
    """Items with random subject, look and title; read in groups of 32."""
    rng = np.random.default_rng(seed)
    readings, subjects = [], []
    for start in range(0, count, _READ_AT_ONCE):
        attributes = [sample_attributes(rng) for _ in range(_READ_AT_ONCE)]
        rows = np.asarray([one.as_indices() for one in attributes], dtype=np.int64)
        titles = [text_for("title", row, rng, held_out=held_out).text for row in rows]
        images = [Image.fromarray(draw_cover(one, seed + start + n)) for n, one in enumerate(attributes)]
        readings.append(language.read(titles, images, num_tokens))
        subjects.append(torch.from_numpy(rows[:, 0]))
    return Shelf(readings=readings, subjects=subjects)


def teacher(denoiser: Denoiser) -> Conditioning:
    """States of the captions of every subject: rows 0 to 255 the looks, row 256 no look; [12 * 257, L, C]."""
    texts = []
    for subject in SUBJECTS:
        covers = [CoverAttributes(subject=subject, look=look) for look in all_looks()]
        texts += [caption(cover, np.random.default_rng(0)) for cover in covers]
        texts.append(caption(covers[0], np.random.default_rng(0), ("subject",)))
    return denoiser.encode_text(texts)


def build(language: LanguageModel, told: Conditioning, user_width: int) -> IcgAdapter:
    """A fresh adapter of about 1 M parameters that begins at the teacher's mean."""
    torch.manual_seed(PLAN.seed)
    settings = Settings().adapter
    config = AdapterConfig(
        language_width=language.width,
        num_meta_tokens=settings.num_meta_tokens,
        width=told.sequence.shape[2],
        layers=settings.connector_layers,
        heads=settings.connector_heads,
        num_user_tokens=settings.num_user_tokens,
        user_width=user_width,
        sequence_length=told.sequence.shape[1],
        sequence_width=told.sequence.shape[2],
        pooled_width=told.pooled.shape[1],
    )
    adapter = IcgAdapter(config, language.embedding_deviation)
    adapter.start_at(told)
    return adapter


def write(adapter: IcgAdapter, folder: Path, figures: dict[str, float] | None = None) -> None:
    """The adapter's files, fp16; ``figures`` of held-out titles are kept beside the configuration."""
    told = {name: round(value, 4) for name, value in (figures or {}).items()}
    for name, data in adapter.files(half=True, extra={"figures": told, "world_seeds": list(SEEDS)}).items():
        (folder / name).write_bytes(data)


def align(language: LanguageModel, denoiser: Denoiser, people: list[People]) -> IcgAdapter:
    """The adapter that speaks the denoiser's language, for nobody and for users."""
    told = teacher(denoiser)
    shelf = draw_shelf(language, Settings().adapter.num_meta_tokens, _ITEMS, _ITEM_SEED)
    log(f"adapter: {_ITEMS} items read, {len(people)} readerships")
    widths = told.sequence.std(dim=0), told.pooled.std()

    def loss_of(adapter: IcgAdapter, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        losses = []
        for number in rng.choice(len(shelf.readings), size=_READINGS_PER_STEP, replace=False):
            users, looks = draw_users(people, _READ_AT_ONCE, rng)
            wanted = told.rows((shelf.subjects[int(number)] * (NOBODY + 1) + looks).to(device()))
            found = adapter(language.states(shelf.readings[int(number)], adapter.meta_tokens), users.to(device()))
            error = (found.sequence - wanted.sequence) / (widths[0] + 0.3)
            losses.append(error.square().mean() + functional.mse_loss(found.pooled, wanted.pooled) / widths[1] ** 2)
        return torch.stack(losses).mean(), {}

    def export(adapter: IcgAdapter, step: int) -> None:
        log(
            f"adapter step {step}: " + " ".join(f"{k} {v:.3f}" for k, v in measure(adapter, language, denoiser, people).items())
        )
        replace_folder(ZOO / "adapter", lambda folder: write(adapter, folder))

    width = people[0].world.users_UV.shape[1]
    return train(PLAN, build(language, told, width), loss_of, export)


@torch.no_grad()
def measure(adapter: IcgAdapter, language: LanguageModel, denoiser: Denoiser, people: list[People]) -> dict[str, float]:
    """Shares of attributes that the judge reads as wanted from covers of held-out titles, for users and for nobody."""
    from icg_tasks.world.eye import AttributeClassifier

    judge = AttributeClassifier.from_folder(ZOO / "judge").to(device())
    shelf = draw_shelf(language, adapter.config.num_meta_tokens, 3 * _READ_AT_ONCE, _ITEM_SEED + 500_000, held_out=True)
    rng = np.random.default_rng(5)
    looks_table = np.array([CoverAttributes(subject=SUBJECTS[0], look=look).as_indices()[1:] for look in all_looks()])
    hits: dict[str, list[float]] = {}
    for reading, subjects in zip(shelf.readings, shelf.subjects, strict=True):
        users, looks = draw_users(people, len(subjects), rng)
        somebody = looks < NOBODY
        states = language.states(reading, adapter.meta_tokens)
        noise = denoiser.noise(list(range(len(subjects))))
        for name, vectors in (("nobody", torch.zeros_like(users)), ("user", users)):
            told = adapter(states, vectors.to(device()))
            images = denoiser.decode(denoiser.sample(told, denoiser.unconditional(), noise, steps=8, guidance=2.0))
            read = {key: value.argmax(dim=1).cpu() for key, value in judge(images.clamp(0, 1)).items()}
            hits.setdefault(f"{name}_subject", []).append(float((read["subject"] == subjects).float().mean()))
            if name == "user":
                wanted = torch.from_numpy(looks_table[looks.clamp(max=NOBODY - 1).numpy()])
                for column, key in enumerate(("palette", "layout", "texture", "density")):
                    right = (read[key] == wanted[:, column])[somebody]
                    hits.setdefault(f"user_{key}", []).append(float(right.float().mean()))
    return {name: float(np.mean(values)) for name, values in hits.items()}


def run() -> None:
    """Simulate, align, export."""
    settings = Settings()
    compute = choose_compute(settings.backbones)
    language, denoiser = open_language_model(settings.backbones, compute), open_denoiser(settings, compute)
    encoder = DualEncoder.load(str(ZOO / "dual_encoder"), device=device())
    people = gather_people(encoder, draw_looks(encoder))
    adapter = align(language, denoiser, people)
    figures = measure(adapter, language, denoiser, people)
    log("adapter: " + " ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    replace_folder(ZOO / "adapter", lambda folder: write(adapter, folder, figures))
