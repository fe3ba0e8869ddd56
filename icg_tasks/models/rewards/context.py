"""What rewards may look at besides the images: the models that judge, and whose cover for which title each image is.

Knows models; no data set and no weight. Legend: B images, C 3, H height, W width, E encoder width, P patches, D tower width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from icg_tasks.backbones.encoder import DualEncoder
from icg_tasks.config.settings import BackboneSettings
from icg_tasks.contracts.errors import DataMissing, IcgError
from icg_tasks.models.preference.model import PreferenceModel
from icg_tasks.models.rewards.aesthetic_head import AestheticHead


class RewardInputError(IcgError):
    """Images and context do not belong together."""


@dataclass(frozen=True, kw_only=True)
class RewardModels:
    """The frozen judges. ``aesthetic`` is None where settings name none; ``preference`` where none is trained yet.

    ``judges`` are those that rewards bring themselves, by the reward's name (``chosen.open_judges``).
    """

    encoder: DualEncoder
    aesthetic: AestheticHead | None = None
    preference: PreferenceModel | None = None
    judges: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        backbones: BackboneSettings,
        preference_folder: Path | None,
        device: torch.device | str = "cpu",
        judges: Mapping[str, Any] | None = None,
    ) -> "RewardModels":
        """The encoder and head that settings name and the preference model of a folder, on one device."""
        from icg_tasks.backbones.locate import resolve_checkpoint

        encoder = DualEncoder.load(resolve_checkpoint(backbones.encoder), device=device)
        head = None
        if backbones.aesthetic:
            head = AestheticHead.load(resolve_checkpoint(backbones.aesthetic)).to(device)
            head.check_fits(encoder)
        preference = PreferenceModel.load(preference_folder).to(device) if preference_folder else None
        if preference and preference.encoder != encoder.identity:
            raise RewardInputError(
                f"the preference model in {preference_folder} takes vectors of encoder {preference.encoder}, settings name "
                f"encoder {encoder.identity}; run embed-items and train-preference again with this encoder"
            )
        return cls(encoder=encoder, aesthetic=head, preference=preference, judges=judges or {})

    @property
    def taste(self) -> PreferenceModel:
        """The preference model; raises DataMissing where none is loaded."""
        if self.preference is None:
            raise DataMissing("no preference model is loaded; run train-preference first")
        return self.preference

    def titles(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors of titles [B, E], on the encoder's device."""
        with torch.no_grad():
            return self.encoder.embed_texts(texts)


@dataclass(frozen=True, kw_only=True)
class _Sight:
    """What the encoder saw in one tensor of images."""

    images: Tensor
    graded: bool  # whether a gradient can flow back into the images
    vectors: Tensor
    states: Tensor | None


@dataclass(kw_only=True)
class RewardContext:
    """One batch's context: row b of every tensor belongs to image b."""

    models: RewardModels
    title_vectors: Tensor  # [B, E], unit
    user_vectors: Tensor  # [B, 2E]; zeros = nobody special
    reward_cap: float = 3.0  # where the preference reward saturates, in deviations of served scores
    titles: Sequence[str] = ()  # B of them, where a reward reads titles with a judge of its own
    _last: _Sight | None = field(default=None, init=False, repr=False)

    def image_vectors(self, images_BCHW: Tensor) -> Tensor:
        """Unit vectors [B, E] of images with pixels in [0, 1]; differentiable."""
        return self._seen(images_BCHW).vectors

    def patch_states(self, images_BCHW: Tensor) -> Tensor:
        """States [B, P, D] of the layer that the aesthetic head reads; differentiable."""
        states = self._seen(images_BCHW).states
        if states is None:
            raise DataMissing(
                "no aesthetic head of shallow features is loaded (backbones.aesthetic); set its weight to 0 or name one"
            )
        return states

    def judge(self, name: str) -> Any:
        """The judge that a reward brings; raises DataMissing where it is not loaded."""
        if name not in self.models.judges:
            raise DataMissing(
                f"reward {name} needs a judge of its own and none is loaded; name its checkpoint (backbones.judges={name}=…) "
                f"and give the reward a weight (adapter.more_rewards={name}=…)"
            )
        return self.models.judges[name]

    def texts(self, images_BCHW: Tensor) -> Sequence[str]:
        """Titles [B] as they are written; raises RewardInputError where the context has other than one for each image."""
        self.check(images_BCHW)
        if len(self.titles) != len(images_BCHW):
            raise RewardInputError(
                f"{len(images_BCHW)} images with {len(self.titles)} titles as text; a reward that reads titles itself needs "
                "RewardContext(titles=…), one for each image"
            )
        return self.titles

    def _seen(self, images_BCHW: Tensor) -> "_Sight":
        """One pass of the encoder serves all rewards of the same images."""
        graded = torch.is_grad_enabled()
        if self._last is None or self._last.images is not images_BCHW or self._last.graded != graded:
            self.check(images_BCHW)
            encoder, head = self.models.encoder, self.models.aesthetic
            if head is not None and head.feature_layer is not None:
                vectors, states = encoder.image_outputs(images_BCHW, head.feature_layer)
                self._last = _Sight(images=images_BCHW, graded=graded, vectors=vectors, states=states)
            else:
                vectors = encoder.embed_images(images_BCHW)
                self._last = _Sight(images=images_BCHW, graded=graded, vectors=vectors, states=None)
        return self._last

    def check(self, images_BCHW: Tensor) -> None:
        """Raise RewardInputError where images and context have other shapes."""
        rows = {"images": len(images_BCHW), "title_vectors": len(self.title_vectors), "user_vectors": len(self.user_vectors)}
        if images_BCHW.ndim != 4 or images_BCHW.shape[1] != 3 or len(set(rows.values())) != 1:
            raise RewardInputError(
                f"images of shape {tuple(images_BCHW.shape)} with {rows}; expected [B, 3, H, W] and B of each"
            )
