"""A fresh adapter for given backbones. Knows widths and settings; no data set."""

import torch

from icg_tasks.config.settings import AdapterSettings
from icg_tasks.models.icg.adapter import AdapterConfig, IcgAdapter
from icg_tasks.models.icg.studio import Studio

_WIDEST = 1_024


def fresh_adapter(studio: Studio, settings: AdapterSettings, user_width: int) -> IcgAdapter:
    """Seeded by ``adapter.seed``; as wide as the denoiser's conditioning, at most 1,024."""
    shape = studio.denoiser.shape
    config = AdapterConfig(
        language_width=studio.language.width,
        num_meta_tokens=settings.num_meta_tokens,
        width=min(shape.width, _WIDEST) // settings.connector_heads * settings.connector_heads,
        layers=settings.connector_layers,
        heads=settings.connector_heads,
        num_user_tokens=settings.num_user_tokens,
        user_width=user_width,
        sequence_length=shape.length,
        sequence_width=shape.width,
        pooled_width=shape.pooled,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return IcgAdapter(config, studio.language.embedding_deviation)
