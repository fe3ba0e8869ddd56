"""Measures the shipped stack against its bars and writes FIGURES.json, README.md and the contact sheet.

Measures what lies in zoo/, on covers and texts that training never saw; trains nothing. Run: ``python -m zoo.recipe figures``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from safetensors import safe_open

from icg_tasks.world import DENSITIES, LAYOUTS, PALETTES, SUBJECTS, TEXTURES, CoverAttributes, Look, caption
from icg_tasks.world.eye import AttributeClassifier
from zoo.recipe import aesthetic, denoiser, encoder, judges, language, vae
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
}
"""What the stack promises, as ``part.figure``; more is better in all of them."""
_PROMPTS: Final = 256
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
    }
    log("figures: denoiser")
    for steps in (8, 4):
        figures[f"denoiser_{steps}_steps"] = denoiser.measure(sampler, judge, _PROMPTS, steps=steps)
    return figures


def contact_sheet(sampler: Sampler, path: Path) -> None:
    """Rows are subjects, columns palettes; layouts, textures and densities take turns. All sampled from captions."""
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
    denoiser.picture_grid(sampler(texts, seed=3), columns=len(PALETTES)).quantize(256).save(path, optimize=True)


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
    """Measure everything and write the three files."""
    sampler = load_sampler()
    contact_sheet(sampler, ZOO / "contact_sheet.png")
    measured = _measured(sampler)
    figures = {part: {name: round(value, 4) for name, value in values.items()} for part, values in measured.items()}
    bars, sizes = _bars(figures), part_sizes()
    plans = (vae.PLAN, encoder.PLAN, aesthetic.PLAN, denoiser.PLAN, language.PLAN, *judges.plans())
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
