"""The ICG generator: items and user vectors in, images out. Reads an item once; draws any number of covers from it.

Images of any items are drawn in batches of one fixed shape, each from noise of its own seed, so its bytes do not depend on
which or how many others were asked for. Knows models; no data set and no segment.
Legend: B images, K meta tokens, D language width, V user vector, H W pixels.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from icg_tasks.backbones.denoisers.conditioning import Conditioning, Denoiser
from icg_tasks.backbones.denoisers.table import open_denoiser
from icg_tasks.backbones.device import Compute, choose_compute
from icg_tasks.backbones.fixed_batches import FixedBatches
from icg_tasks.backbones.language.reading import LanguageModel
from icg_tasks.backbones.language.table import open_language_model
from icg_tasks.config.generation import GenerationSettings
from icg_tasks.config.settings import CoverSettings, Settings
from icg_tasks.contracts.errors import DataCorrupt, SettingsError
from icg_tasks.lake.registry import champion_as_of, fetch_version, require_champion
from icg_tasks.models.icg.adapter import KIND, IcgAdapter
from icg_tasks.models.training.threads import one_thread
from icg_tasks.stage import StageContext

DENOISER = "denoiser"


class IcgGenerator:
    """Adapter, language model and denoiser, frozen."""

    def __init__(
        self,
        adapter: IcgAdapter,
        language: LanguageModel,
        denoiser: Denoiser,
        covers: CoverSettings,
        compute: Compute,
        generation: GenerationSettings | None = None,
    ) -> None:
        if adapter.config.shape != denoiser.shape or adapter.config.language_width != language.width:
            raise DataCorrupt(
                f"the adapter speaks from width {adapter.config.language_width} to {adapter.config.shape}, but the language "
                f"model is {language.width} wide and the denoiser wants {denoiser.shape}; train an adapter for these backbones"
            )
        self.adapter = adapter.eval().requires_grad_(False).to(compute.device)
        self.language, self.denoiser, self.covers, self.compute = language, denoiser, covers, compute
        self._unconditional = denoiser.unconditional()
        self.batches = FixedBatches(images_at_once(covers, generation or GenerationSettings(), compute), warn)

    @classmethod
    def load(cls, context: StageContext) -> "IcgGenerator":
        """With the champions of adapter and denoiser as of the run date; raises DataMissing without an adapter."""
        store, day = context.store, context.run_date
        adapter = fetch_version(store, require_champion(store, KIND, day), context.scratch("models"))
        lora = champion_as_of(store, DENOISER, day)
        lora_folder = fetch_version(store, lora, context.scratch("models")) if lora else None
        return cls.from_folders(context.settings, adapter, lora_folder)

    @classmethod
    def from_folders(cls, settings: Settings, adapter: Path, lora: Path | None = None) -> "IcgGenerator":
        """With the backbones that settings name."""
        compute = choose_compute(settings.backbones)
        language = open_language_model(settings.backbones, compute)
        denoiser = open_denoiser(settings, replace(compute, half_on_cpu=settings.generation.half_weights), lora)
        how = settings.generation
        denoiser.quicken(
            channels_last=how.channels_last, compiled=how.compile, lean=how.lean_layers, onnx_cache=_onnx_cache(settings)
        )
        found = cls(IcgAdapter.load(adapter), language, denoiser, settings.covers, compute, settings.generation)
        if how.runtime == "onnx":
            found._draw_nothing()
        return found

    @torch.no_grad()
    def item_states(self, images: Sequence[Image.Image], titles: Sequence[str]) -> Tensor:
        """States of the meta tokens [B, K, D] for each item; independent of the user, so once per item is enough."""
        reading = self.language.read(titles, images, self.adapter.config.num_meta_tokens)
        return self.language.states(reading, self.adapter.meta_tokens)

    @torch.no_grad()
    def conditions(self, states_BKD: Tensor, users_BV: Tensor | None, scale: Tensor | float = 1.0) -> Conditioning:
        """What the denoiser is told; zero or absent user vectors give the unpersonalised condition.

        Raises:
            DataCorrupt: user vectors of another width.
        """
        width = self.adapter.config.user_width
        if users_BV is not None and users_BV.shape[-1] != width:
            raise DataCorrupt(
                f"user vectors are {users_BV.shape[-1]} wide, the adapter takes {width}; train it on this encoder"
            )
        device = self.compute.device
        factor = scale.to(device) if isinstance(scale, Tensor) else scale
        return self.adapter(  # type: ignore[no-any-return]
            states_BKD.to(device), None if users_BV is None else users_BV.to(device), factor
        )

    @torch.no_grad()
    def latents(self, states_BKD: Tensor, users_BV: Tensor, scales_B: Tensor, seeds: Sequence[int]) -> Tensor:
        """Latents [B, ...] of images, of whatever items: states, user vectors, scales and seeds are each image's own."""

        def draw(rows_B: Tensor) -> Tensor:
            told = self.conditions(states_BKD[rows_B], users_BV[rows_B], scales_B[rows_B])
            return self._walk(told, [seeds[row] for row in rows_B.tolist()])

        return self.batches.run(draw, len(seeds))

    @torch.no_grad()
    def pixels(self, latents_B: Tensor) -> Tensor:
        """Pixels [B, 3, H, W] in [0, 1] (float32) of latents."""
        return self.batches.run(lambda rows_B: self.denoiser.decode(latents_B[rows_B]).clamp(0.0, 1.0), len(latents_B))

    @torch.no_grad()
    def sample(self, conditions: Conditioning, seeds: Sequence[int]) -> Tensor:
        """Pixels [B, 3, H, W] in [0, 1] (float32); ``covers.steps`` steps, ``covers.guidance``."""
        if len(seeds) != len(conditions):
            raise DataCorrupt(f"{len(seeds)} seeds for {len(conditions)} images; expected one each")

        def draw(rows_B: Tensor) -> Tensor:
            told = conditions.rows(rows_B.to(self.compute.device))
            return self._walk(told, [seeds[row] for row in rows_B.tolist()])

        return self.pixels(self.batches.run(draw, len(seeds)))

    def _draw_nothing(self) -> None:
        """One batch, for what is made at the first call: torch.export wants no other thread at work."""
        told = self.conditions(self.adapter.meta_tokens.new_zeros(self.batches.size, *self.adapter.meta_tokens.shape), None)
        with one_thread():  # as many as ONNX Runtime takes from then on, and as the engine draws with
            self.sample(told, range(self.batches.size))

    def _walk(self, told: Conditioning, seeds: Sequence[int]) -> Tensor:
        """Guided latents: told and untold in one call of the network with twice the batch."""
        noise = self.denoiser.noise(seeds)
        return self.denoiser.sample(told, self._unconditional, noise, steps=self.covers.steps, guidance=self.covers.guidance)


def images_at_once(covers: CoverSettings, generation: GenerationSettings, compute: Compute) -> int:
    """Images in a batch on this device; raises SettingsError for none."""
    if generation.cpu_batch_size < 1 or covers.batch_size < 1:
        raise SettingsError(
            f"generation.cpu_batch_size is {generation.cpu_batch_size}, covers.batch_size {covers.batch_size}; expected 1 or up"
        )
    return min(covers.batch_size, generation.cpu_batch_size) if compute.device.type == "cpu" else covers.batch_size


def _onnx_cache(settings: Settings) -> Path | None:
    """Where exports of the denoiser lie, None where torch draws; raises SettingsError for another runtime."""
    runtime = settings.generation.runtime
    if runtime not in {"torch", "onnx"}:
        raise SettingsError(f"generation.runtime={runtime!r}: expected torch or onnx")
    return Path(settings.work_folder) / "onnx-denoiser" if runtime == "onnx" else None


def warn(message: str) -> None:
    """A line on stderr."""
    print(message, file=sys.stderr, flush=True)
