"""What diffusers' own pipelines make of the same embeddings, noise, steps and guidance, and of the same texts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    FluxPipeline,
    PixArtSigmaPipeline,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)

from icg_tasks.backbones.denoisers.conditioning import Conditioning
from icg_tasks.backbones.denoisers.schedules import own_streams
from tests.backbones.denoisers.tiny_parts import SIZE_PIXELS, T5_LENGTH

SD3_LENGTH_WITHOUT_T5 = 256


@dataclass(frozen=True, kw_only=True)
class Walk:
    told: Conditioning
    untold: Conditioning
    noise: torch.Tensor
    steps: int
    guidance: float

    @property
    def common(self) -> dict[str, Any]:
        return {
            "prompt_embeds": self.told.sequence,
            "num_inference_steps": self.steps,
            "height": SIZE_PIXELS,
            "width": SIZE_PIXELS,
            "output_type": "latent",
            "generator": own_streams(self.noise),
        }


@dataclass(frozen=True, kw_only=True)
class Reference:
    pipeline: Any
    draw: Callable[[Any, Walk], torch.Tensor]
    say: Callable[[Any, list[str]], tuple[Conditioning, Conditioning]]

    def open(self, folder: Path) -> Any:
        absent = [] if (folder / "text_encoder_3").exists() else ["text_encoder_3", "tokenizer_3"]
        without = dict.fromkeys(absent) if self.pipeline is StableDiffusion3Pipeline else {}
        pipe = self.pipeline.from_pretrained(folder, dtype=torch.float32, **without)
        pipe.set_progress_bar_config(disable=True)
        return pipe


def _pooled(walk: Walk) -> dict[str, Any]:
    return {
        "pooled_prompt_embeds": walk.told.pooled,
        "negative_prompt_embeds": walk.untold.sequence,
        "negative_pooled_prompt_embeds": walk.untold.pooled,
    }


def _draw_sd15(pipe: Any, walk: Walk) -> torch.Tensor:
    found = pipe(
        **walk.common, negative_prompt_embeds=walk.untold.sequence, latents=walk.noise, guidance_scale=walk.guidance
    ).images
    return torch.as_tensor(found)


def _draw_pooled(pipe: Any, walk: Walk) -> torch.Tensor:
    if pipe.scheduler.config.get("stochastic_sampling"):  # SD 3's pipeline does not hand its generators on
        pipe.scheduler.step = partial(pipe.scheduler.step, generator=own_streams(walk.noise))
    found = pipe(**walk.common, **_pooled(walk), latents=walk.noise, guidance_scale=walk.guidance).images
    return torch.as_tensor(found)


def _draw_pixart(pipe: Any, walk: Walk) -> torch.Tensor:
    found = pipe(
        **walk.common,
        prompt_attention_mask=walk.told.mask,
        negative_prompt=None,
        negative_prompt_embeds=walk.untold.sequence,
        negative_prompt_attention_mask=walk.untold.mask,
        latents=walk.noise,
        guidance_scale=walk.guidance,
        use_resolution_binning=False,
    ).images
    return torch.as_tensor(found)


def _draw_flux(pipe: Any, walk: Walk) -> torch.Tensor:
    distilled = pipe.transformer.config.guidance_embeds
    guiding: dict[str, Any] = {"guidance_scale": walk.guidance}
    pooled = {"pooled_prompt_embeds": walk.told.pooled}
    if not distilled:
        guiding, pooled = {"true_cfg_scale": walk.guidance}, _pooled(walk)
    packed = pipe._pack_latents(walk.noise, *walk.noise.shape)
    found = pipe(**walk.common, **pooled, **guiding, latents=packed).images
    return torch.as_tensor(pipe._unpack_latents(found, SIZE_PIXELS, SIZE_PIXELS, pipe.vae_scale_factor))


def _nothing(states: torch.Tensor) -> torch.Tensor:
    return states.new_zeros((len(states), 0))


def _say_sd15(pipe: Any, texts: list[str]) -> tuple[Conditioning, Conditioning]:
    told, untold = pipe.encode_prompt(texts, "cpu", 1, True)
    return Conditioning(sequence=told, pooled=_nothing(told)), Conditioning(sequence=untold, pooled=_nothing(untold))


def _say_sdxl(pipe: Any, texts: list[str]) -> tuple[Conditioning, Conditioning]:
    told, untold, pooled, unpooled = pipe.encode_prompt(texts, device="cpu")
    return Conditioning(sequence=told, pooled=pooled), Conditioning(sequence=untold, pooled=unpooled)


def _say_sd3(pipe: Any, texts: list[str]) -> tuple[Conditioning, Conditioning]:
    length = T5_LENGTH if pipe.text_encoder_3 is not None else SD3_LENGTH_WITHOUT_T5
    told, untold, pooled, unpooled = pipe.encode_prompt(texts, None, None, max_sequence_length=length)
    return Conditioning(sequence=told, pooled=pooled), Conditioning(sequence=untold, pooled=unpooled)


def _say_pixart(pipe: Any, texts: list[str]) -> tuple[Conditioning, Conditioning]:
    told, mask, untold, unmask = pipe.encode_prompt(texts, max_sequence_length=T5_LENGTH)
    return (
        Conditioning(sequence=told, pooled=_nothing(told), mask=mask),
        Conditioning(sequence=untold, pooled=_nothing(untold), mask=unmask),
    )


def _say_flux(pipe: Any, texts: list[str]) -> tuple[Conditioning, Conditioning]:
    told, pooled, _ = pipe.encode_prompt(texts, max_sequence_length=T5_LENGTH)
    untold, unpooled, _ = pipe.encode_prompt([""] * len(texts), max_sequence_length=T5_LENGTH)
    return Conditioning(sequence=told, pooled=pooled), Conditioning(sequence=untold, pooled=unpooled)


REFERENCES: dict[str, Reference] = {
    "sd15": Reference(pipeline=StableDiffusionPipeline, draw=_draw_sd15, say=_say_sd15),
    "sdxl": Reference(pipeline=StableDiffusionXLPipeline, draw=_draw_pooled, say=_say_sdxl),
    "sd3": Reference(pipeline=StableDiffusion3Pipeline, draw=_draw_pooled, say=_say_sd3),
    "pixart_sigma": Reference(pipeline=PixArtSigmaPipeline, draw=_draw_pixart, say=_say_pixart),
    "flux": Reference(pipeline=FluxPipeline, draw=_draw_flux, say=_say_flux),
}
