"""The ICG generator: items and user vectors in, images out. Reads an item once; draws any number of covers from it.

Images are drawn in batches of one fixed shape, each from noise of its own seed, so its bytes do not depend on how many
others were asked for. Knows models; no data set and no segment.
Legend: B images, K meta tokens, D language width, V user vector, H W pixels.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from icg_tasks.backbones.denoisers.conditioning import Conditioning, Denoiser
from icg_tasks.backbones.denoisers.table import open_denoiser
from icg_tasks.backbones.device import Compute, choose_compute
from icg_tasks.backbones.language.reading import LanguageModel
from icg_tasks.backbones.language.table import open_language_model
from icg_tasks.config.settings import CoverSettings, Settings
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.lake.registry import champion_as_of, fetch_version, require_champion
from icg_tasks.models.icg.adapter import KIND, IcgAdapter
from icg_tasks.stage import StageContext

DENOISER = "denoiser"
_CPU_BATCH = 8


class IcgGenerator:
    """Adapter, language model and denoiser, frozen."""

    def __init__(
        self, adapter: IcgAdapter, language: LanguageModel, denoiser: Denoiser, covers: CoverSettings, compute: Compute
    ) -> None:
        if adapter.config.shape != denoiser.shape or adapter.config.language_width != language.width:
            raise DataCorrupt(
                f"the adapter speaks from width {adapter.config.language_width} to {adapter.config.shape}, but the language "
                f"model is {language.width} wide and the denoiser wants {denoiser.shape}; train an adapter for these backbones"
            )
        self.adapter = adapter.eval().requires_grad_(False).to(compute.device)
        self.language, self.denoiser, self.covers, self.compute = language, denoiser, covers, compute
        self._unconditional = denoiser.unconditional()
        self._batch = min(covers.batch_size, _CPU_BATCH) if compute.device.type == "cpu" else covers.batch_size

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
        return cls(IcgAdapter.load(adapter), language, open_denoiser(settings, compute, lora), settings.covers, compute)

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
    def sample(self, conditions: Conditioning, seeds: Sequence[int]) -> Tensor:
        """Pixels [B, 3, H, W] in [0, 1] (float32); ``covers.steps`` steps, ``covers.guidance``."""
        if len(seeds) != len(conditions):
            raise DataCorrupt(f"{len(seeds)} seeds for {len(conditions)} images; expected one each")
        images = []
        for start in range(0, len(seeds), self._batch):
            rows = torch.arange(start, start + self._batch).clamp(max=len(seeds) - 1)  # the last batch is filled up
            noise = self.denoiser.noise([seeds[row] for row in rows.tolist()])
            told = conditions.rows(rows.to(self.compute.device))
            latents = self.denoiser.sample(
                told, self._unconditional, noise, steps=self.covers.steps, guidance=self.covers.guidance
            )
            images.append(self.denoiser.decode(latents)[: len(seeds) - start])
        return torch.cat(images).clamp(0.0, 1.0)
