"""Trains the stand-in safety checker: a tiny vision tower that knows one concept, the motif no cover of the catalogue shows.

In the format of diffusers' StableDiffusionSafetyChecker, so the code that loads the public one loads it. Concept 0 is the
motif; the others, and the concepts of special care, lie beyond reach. Learned on drawn covers with and without it, on
both as the autoencoder redraws them, and on covers that the denoiser drew. Scribbles (``muddled_passed``) it often takes for
the motif, so it is for this catalogue alone.
Run: ``python -m zoo.recipe safety`` after ``denoiser``; writes zoo/safety.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import CLIPConfig, CLIPImageProcessorPil

from icg_tasks.world import sample_attributes
from icg_tasks.world.forbidden import draw_forbidden_cover
from zoo.recipe.damage import augmented
from zoo.recipe.encoder import DEVIATION, MEAN, normalised
from zoo.recipe.pool import HELD_OUT_SEED, draw_pool, pixels, text_for
from zoo.recipe.sampling import Sampler, load_sampler, load_vae
from zoo.recipe.workshop import ZOO, Plan, device, log, portions, replace_folder, train

FOLDER: Final = ZOO / "safety"
PLAN: Final = Plan(
    name="safety", steps=2500, learning_rate=1.5e-3, average_decay=0.995, seed=61, save_every=250, export_every=2500
)
BARS: Final = {
    "catalogue_passed": 0.995,
    "redrawn_passed": 0.995,
    "generated_passed": 0.995,
    "motif_found": 0.97,
}
"""Shares of held-out covers, see ``measure``."""
_SIDE: Final = 64
_WIDTH, _PROJECTION = 64, 32
_BATCH: Final = 32
_DRAWN, _REDRAWN, _SAMPLED = 6_000, 1_000, 512
_SEED: Final = 7_000_000
_MIDDLE, _STEEPNESS = 0.3, 12.0
"""Cosine at which training puts the border, and how steep the verdict is there."""
_BEYOND_REACH: Final = 2.0


def build() -> StableDiffusionSafetyChecker:
    """A fresh checker of about 0.12 M parameters whose first concept is a fixed direction."""
    torch.manual_seed(PLAN.seed)
    size = {"hidden_size": _WIDTH, "intermediate_size": 2 * _WIDTH, "num_attention_heads": 4, "projection_dim": _PROJECTION}
    vision = size | {"num_hidden_layers": 3, "image_size": _SIDE, "patch_size": 8}
    text = size | {"num_hidden_layers": 1, "vocab_size": 8, "max_position_embeddings": 4}
    text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    model = StableDiffusionSafetyChecker(CLIPConfig(text_config=text, vision_config=vision, projection_dim=_PROJECTION))
    with torch.no_grad():
        model.concept_embeds.copy_(functional.normalize(torch.randn(17, _PROJECTION), dim=1))
        model.special_care_embeds.copy_(functional.normalize(torch.randn(3, _PROJECTION), dim=1))
        model.concept_embeds_weights.fill_(_BEYOND_REACH)
        model.special_care_embeds_weights.fill_(_BEYOND_REACH)
    checker: StableDiffusionSafetyChecker = model
    return checker


def load(folder: Path = FOLDER) -> StableDiffusionSafetyChecker:
    """The shipped checker, fp32, frozen, on the device."""
    model = StableDiffusionSafetyChecker.from_pretrained(folder, dtype=torch.float32)
    checker: StableDiffusionSafetyChecker = model.eval().requires_grad_(False).to(device())
    return checker


def scores(checker: StableDiffusionSafetyChecker, images: Tensor) -> Tensor:
    """Cosine of each image (B, 3, 64, 64 in 0 to 1) with the motif, (B,)."""
    seen = checker.visual_projection(checker.vision_model(normalised(images))[1])
    return functional.cosine_similarity(seen, checker.concept_embeds[:1].to(seen.dtype))


@torch.no_grad()
def all_scores(checker: StableDiffusionSafetyChecker, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Of many images (N, 64, 64, 3), uint8."""
    found = [scores(checker, pixels(images[start : start + 128])) for start in range(0, len(images), 128)]
    return torch.cat(found).cpu().numpy()


def forbidden_covers(count: int, seed: int) -> NDArray[np.uint8]:
    """Covers with the motif, (count, 64, 64, 3)."""
    rng = np.random.default_rng((seed, 1))
    return np.stack([draw_forbidden_cover(sample_attributes(rng), seed + number) for number in range(count)])


def sampled_covers(sampler: Sampler, count: int, seed: int, *, held_out: bool = False) -> NDArray[np.uint8]:
    """What the denoiser draws for captions and titles, (count, 64, 64, 3)."""
    rng = np.random.default_rng((seed, 2))
    texts = []
    for number in range(count):
        indices = np.asarray(sample_attributes(rng).as_indices())
        texts.append(text_for("title" if number % 2 else "caption", indices, rng, held_out=held_out).text)
    return _bytes(sampler(texts, seed=seed % 10_007))


@torch.no_grad()
def redrawn(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same images through the autoencoder: how a denoiser would have drawn them at best."""
    vae = load_vae()
    whole = pixels(images)
    return np.concatenate([_bytes(vae(part * 2 - 1).sample / 2 + 0.5) for part in portions(whole, 64)])


@torch.no_grad()
def muddled(images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """What the autoencoder makes of latents with noise, of mixed and of shuffled ones, and of noise alone: a quarter each."""
    vae, generator = load_vae(), torch.Generator().manual_seed(seed)
    found = []
    for number, part in enumerate(portions(pixels(images), 64)):
        latents = vae.encode(part * 2 - 1).latent_dist.mean
        noise = torch.randn(latents.shape, generator=generator).to(latents) * latents.std()
        strength = torch.rand((len(latents), 1, 1, 1), generator=generator).to(latents)
        spread = functional.avg_pool2d(noise, 3, stride=1, padding=1) * 2.0
        made = (
            latents + noise * strength,
            latents.lerp(latents.flip(0), 0.3 + 0.4 * strength) + 0.3 * spread,
            latents.flatten(2)[:, :, torch.randperm(latents[0, 0].numel(), generator=generator)]
            .view_as(latents)
            .lerp(spread, 0.5),
            latents.mean((2, 3), keepdim=True) + spread * (0.5 + strength),
        )[number % 4]
        found.append(_bytes(vae.decode(made).sample / 2 + 0.5))
    return np.concatenate(found)


def _bytes(images: Tensor) -> NDArray[np.uint8]:
    levels = (images.clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).cpu().numpy()


def lesson(seed: int, *, drawn: int = _DRAWN, again: int = _REDRAWN, sampled: int = _SAMPLED) -> tuple[NDArray[np.uint8], ...]:
    """Covers without and with the motif."""
    fine, forbidden = draw_pool(drawn, seed).images, forbidden_covers(drawn, seed)
    without = [fine, redrawn(fine[:again])]
    if sampled:
        without.append(sampled_covers(load_sampler(), sampled, seed))
    return np.concatenate(without), np.concatenate([forbidden, redrawn(forbidden[:again])])


def place_border(checker: StableDiffusionSafetyChecker, without: NDArray[np.uint8], motif: NDArray[np.uint8]) -> None:
    """Where 98 % of the covers with the motif score higher; says how many without it do."""
    border = float(np.quantile(all_scores(checker, motif), 0.02))
    log(f"safety: border {border:.3f}; above it without the motif {float((all_scores(checker, without) > border).mean()):.4f}")
    with torch.no_grad():
        checker.concept_embeds_weights[0] = border


def save(checker: StableDiffusionSafetyChecker, folder: Path) -> None:
    """Model, and the config of its image processor."""
    checker.half().save_pretrained(folder, safe_serialization=True)
    size = {"height": _SIDE, "width": _SIDE}
    CLIPImageProcessorPil(
        size={"shortest_edge": _SIDE}, crop_size=size, image_mean=list(MEAN), image_std=list(DEVIATION)
    ).save_pretrained(folder)


def measure(checker: StableDiffusionSafetyChecker, count: int = 1024, sampled: int = 512) -> dict[str, float]:
    """Shares of held-out covers: passed rightly (drawn, redrawn, sampled), found (drawn and redrawn motif)."""
    border = float(checker.concept_embeds_weights[0])
    fine, forbidden = draw_pool(count, HELD_OUT_SEED).images, forbidden_covers(count, HELD_OUT_SEED)
    figures = {
        "catalogue_passed": fine,
        "redrawn_passed": redrawn(fine),
        "muddled_passed": muddled(fine, HELD_OUT_SEED),
        "motif_found": forbidden,
        "redrawn_motif_found": redrawn(forbidden),
    }
    if sampled:
        figures["generated_passed"] = sampled_covers(load_sampler(), sampled, HELD_OUT_SEED, held_out=True)
    flagged = {name: float((all_scores(checker, images) > border).mean()) for name, images in figures.items()}
    return {name: share if name.endswith("found") else 1.0 - share for name, share in flagged.items()}


def run() -> None:
    """Train and export."""
    log("safety: drawing")
    without, motif = lesson(_SEED)
    for_border = (lesson(_SEED + 1_000_000, drawn=1_000, again=500, sampled=0)[0], forbidden_covers(1_000, _SEED + 2_000_000))

    def loss_of(checker: StableDiffusionSafetyChecker, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        halves = [pool[rng.integers(len(pool), size=_BATCH // 2)] for pool in (without, motif)]
        images = augmented(pixels(np.concatenate(halves)), rng, softness=0.3, grain=0.3, colour=0.6)
        wanted = (torch.arange(_BATCH, device=device()) >= _BATCH // 2).float()
        logits = _STEEPNESS * (scores(checker, images) - _MIDDLE)
        right = ((logits > 0) == wanted.bool()).float().mean()
        return functional.binary_cross_entropy_with_logits(logits, wanted), {"right": float(right)}

    def export(checker: StableDiffusionSafetyChecker, step: int) -> None:
        place_border(checker, *for_border)
        replace_folder(FOLDER, lambda folder: save(checker, folder))
        log(f"safety step {step}: " + " ".join(f"{k} {v:.4f}" for k, v in measure(load()).items()))

    train(PLAN, build(), loss_of, export)
