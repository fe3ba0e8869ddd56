"""Measures the shipped stack against its bars and writes FIGURES.json, README.md and the contact sheet.

Measures what lies in zoo/, on covers and texts that training never saw; trains nothing. Run: ``python -m zoo.recipe figures``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import safe_open
from torch import Tensor

from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.tokens.table import open_token_model
from icg_tasks.models.pigeon.sequence import TITLE
from icg_tasks.world import DENSITIES, LAYOUTS, PALETTES, SUBJECTS, TEXTURES, CoverAttributes, Look, caption
from icg_tasks.world.eye import AttributeClassifier
from zoo.recipe import aesthetic, denoiser, encoder, image_tokens, janus, judges, language, safety, vae
from zoo.recipe.sampling import Sampler, load_sampler, load_vae
from zoo.recipe.workshop import ZOO, device, log, write_json

BARS: Final[dict[str, float]] = {
    "vae.psnr_db": 30.0,
    "dual_encoder.caption_all_attributes_top1": 0.80,
    "dual_encoder.title_subject_top1": 0.95,
    "dual_encoder.probe_palette": 0.95,
    "dual_encoder.probe_layout": 0.95,
    "dual_encoder.probe_texture": 0.95,
    "dual_encoder.probe_density": 0.95,
    "denoiser_8_steps.caption_subject": 0.95,
    "denoiser_8_steps.title_subject": 0.95,
    "denoiser_8_steps.caption_palette": 0.98,
    "judge.subject": 0.99,
    "oracle_eye.subject": 0.99,
    "aesthetic.correlation": 0.85,
    "language_model.image_palette": 0.95,
    "language_model.image_subject": 0.95,
    **{f"token_model.{name}": bar for name, bar in janus.BARS.items()},
    **{f"safety.{name}": bar for name, bar in safety.BARS.items()},
}
"""What the stack promises, as ``part.figure``; more is better in all of them."""
_PROMPTS: Final = 256
_TOKEN_TEXTS: Final = 1_024  # close to its bar: of 256, one text more or less would decide
_TABLES_BEGIN: Final = "<!-- figures: written by `python -m zoo.recipe figures` -->"
_TABLES_END: Final = "<!-- end of figures -->"


def part_sizes() -> dict[str, dict[str, int]]:
    """Parameters and bytes of every safetensors file, by its folder relative to zoo/; the adapter keeps its own books."""
    sizes = {}
    for path in sorted(ZOO.rglob("*.safetensors")):
        if path.parent.name == "adapter":
            continue
        with safe_open(path, framework="np") as file:
            count = sum(int(np.prod(file.get_slice(name).get_shape())) for name in file.keys())  # noqa: SIM118 - not a dict
        sizes[str(path.parent.relative_to(ZOO))] = {"parameters": count, "bytes": path.stat().st_size}
    return sizes


def _measured(sampler: Sampler) -> dict[str, dict[str, float]]:
    judge = AttributeClassifier.from_folder(ZOO / "judge").to(device())
    clip = aesthetic.load_dual_encoder()
    figures = {
        "vae": {"psnr_db": vae.peak_signal_to_noise(load_vae())},
        "dual_encoder": encoder.measure(clip),
        "judge": judges.measure(judge),
        "oracle_eye": judges.measure(AttributeClassifier.from_folder(ZOO / "oracle_eye").to(device())),
        "aesthetic": aesthetic.measure(clip, aesthetic.load_head()),
        "language_model": language.measure(language.load(), 192),
        "token_model": janus.measure(janus.SHIPPED, _TOKEN_TEXTS)[0],
        "safety": safety.measure(safety.load()),
    }
    log("figures: denoiser")
    for steps in (8, 4):
        figures[f"denoiser_{steps}_steps"] = denoiser.measure(sampler, judge, _PROMPTS, steps=steps)
    return figures


def contact_sheet(sampler: Sampler, path: Path) -> None:
    """Rows are subjects, columns palettes; layouts, textures and densities take turns. All sampled from captions."""
    _save_sheet(sampler(_sheet_texts(), seed=3), path)


def _token_sheet(path: Path) -> None:
    """The same captions, written as tokens."""
    model = open_token_model("janus", str(janus.SHIPPED), Compute(device=device(), bfloat16=False))
    _save_sheet(janus.draw(model, [[TITLE + text] for text in _sheet_texts()], seed=3), path)


def _save_sheet(images: Tensor, path: Path) -> None:
    denoiser.picture_grid(images, columns=len(PALETTES)).quantize(256).save(path, optimize=True)


def _sheet_texts() -> list[str]:
    texts = []
    for row, subject in enumerate(SUBJECTS):
        for column, palette in enumerate(PALETTES):
            look = Look(
                palette=palette,
                layout=LAYOUTS[(row + column) % len(LAYOUTS)],
                texture=TEXTURES[(row + 2 * column + column // 4) % len(TEXTURES)],
                density=DENSITIES[(row // 2 + column) % len(DENSITIES)],
            )
            texts.append(caption(CoverAttributes(subject=subject, look=look), np.random.default_rng(row)))
    return texts


def _bars(figures: dict[str, dict[str, float]]) -> dict[str, dict[str, float | bool]]:
    bars: dict[str, dict[str, float | bool]] = {}
    for name, bar in BARS.items():
        part, figure = name.split(".")
        value = figures[part][figure]
        bars[name] = {"bar": bar, "value": value, "holds": value >= bar}
    return bars


def _write_readme_tables(bars: dict[str, dict[str, float | bool]], sizes: dict[str, dict[str, int]]) -> None:
    rows = ["| figure | measured | bar | |", "|---|---|---|---|"]
    for name, bar in bars.items():
        rows.append(f"| {name} | {bar['value']:.3f} | {bar['bar']:g} | {'holds' if bar['holds'] else 'missed'} |")
    rows += ["", "| folder | parameters | bytes |", "|---|---|---|"]
    rows += [f"| `{folder}` | {size['parameters']:,} | {size['bytes']:,} |" for folder, size in sizes.items()]
    path = ZOO / "README.md"
    before, rest = path.read_text(encoding="utf-8").split(_TABLES_BEGIN)
    after = rest.split(_TABLES_END)[1]
    path.write_text(before + _TABLES_BEGIN + "\n" + "\n".join(rows) + "\n" + _TABLES_END + after, encoding="utf-8")


def run() -> None:
    """Measure everything and write the pictures, FIGURES.json and the tables of README.md."""
    sampler = load_sampler()
    contact_sheet(sampler, ZOO / "contact_sheet.png")
    _token_sheet(ZOO / "contact_sheet_tokens.png")
    _write(_measured(sampler))


def run_tokens() -> None:
    """Measure the token model alone; every other figure stays as it was recorded."""
    _token_sheet(ZOO / "contact_sheet_tokens.png")
    recorded = json.loads((ZOO / "FIGURES.json").read_text(encoding="utf-8"))["figures"]
    _write(recorded | {"token_model": janus.measure(janus.SHIPPED, _TOKEN_TEXTS)[0]})


def _write(measured: dict[str, dict[str, float]]) -> None:
    figures = {part: {name: round(value, 4) for name, value in values.items()} for part, values in measured.items()}
    bars, sizes = _bars(figures), part_sizes()
    plans = (
        vae.PLAN, encoder.PLAN, aesthetic.PLAN, denoiser.PLAN, language.PLAN, image_tokens.PLAN, janus.PLAN, safety.PLAN,
        *judges.plans(),
    )  # fmt: skip
    content: dict[str, object] = {
        "bars": bars,
        "figures": figures,
        "sizes": sizes,
        "total_bytes": sum(size["bytes"] for size in sizes.values()),
        "training_steps": {plan.name: plan.steps for plan in plans},
    }
    write_json(ZOO / "FIGURES.json", content)
    _write_readme_tables(bars, sizes)
    for name, bar in bars.items():
        log(f"{name} {bar['value']:.4f} bar {bar['bar']} {'holds' if bar['holds'] else 'IS MISSED'}")
