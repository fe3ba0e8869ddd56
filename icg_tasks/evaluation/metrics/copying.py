"""Copying: how near a made cover is to the nearest catalogue cover, and whether that is as near as a copy.

Take features that tell pictures apart, not what they show: ``tower.tower_features``, not a dual encoder's final vector, which
is made to be the same for all pictures of a thing. What counts as a copy is measured, not chosen: catalogue covers are edited
as copies are (cropped a little, recompressed, made lighter or darker), and the threshold is the cosine that 95 of 100 such
copies reach. All cosines are computed at once: of a catalogue of more than some thousand covers, take a share.
Legend: P made covers, N catalogue covers, D features, B images, H height, W width, C 3.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from icg_tasks.evaluation.metrics.inputs import Doubles, Features, MetricInputError, as_features, same_width

_REACHED_BY = 0.95
_CROP, _LIGHT, _QUALITY = 0.02, 0.05, 80


@dataclass(frozen=True, kw_only=True)
class CopyThreshold:
    """From which cosine on a cover counts as a copy.

    ``look_alikes`` is the share of catalogue covers whose nearest *other* cover is that near too: repeats in the catalogue, or
    an encoder that cannot tell. Where it is large, the share of copies says little.
    """

    cosine: float
    look_alikes: float
    num_covers: int


def nearest_cover(
    made_PD: Features, catalogue_ND: Features, own_P: Sequence[int] | None = None
) -> tuple[Doubles, NDArray[np.intp]]:
    """Highest cosine with a catalogue cover [P], and which cover that is [P]; ``own_P``: the item's own cover, left out.

    Raises MetricInputError.
    """
    made_PD, catalogue_ND = _units(made_PD, "made covers"), _units(catalogue_ND, "catalogue covers")
    same_width(made_PD, catalogue_ND)
    cosine_PN = made_PD @ catalogue_ND.T
    if own_P is not None:
        if len(own_P) != len(made_PD) or len(catalogue_ND) < 2:
            raise MetricInputError(
                f"{len(own_P)} own covers for {len(made_PD)} made ones, {len(catalogue_ND)} in the catalogue"
            )
        cosine_PN[np.arange(len(made_PD)), np.asarray(own_P)] = -np.inf
    place_P = cosine_PN.argmax(axis=1)
    return cosine_PN[np.arange(len(made_PD)), place_P], place_P


def copy_threshold(catalogue_ND: Features, edited_ND: Features) -> CopyThreshold:
    """From features of catalogue covers and of their edited copies (``edited_copies``), row by row; raises MetricInputError."""
    catalogue_ND, edited_ND = _units(catalogue_ND, "catalogue covers", least=2), _units(edited_ND, "edited copies", least=2)
    if catalogue_ND.shape != edited_ND.shape:
        raise MetricInputError(
            f"catalogue covers {catalogue_ND.shape} and edited copies {edited_ND.shape}; expected one of each"
        )
    cosine = float(np.quantile((catalogue_ND * edited_ND).sum(axis=1), 1 - _REACHED_BY))
    other_N, _ = nearest_cover(catalogue_ND, catalogue_ND, own_P=range(len(catalogue_ND)))
    return CopyThreshold(cosine=cosine, look_alikes=float((other_N >= cosine).mean()), num_covers=len(catalogue_ND))


def are_copies(cosine_P: Doubles, threshold: CopyThreshold) -> Doubles:
    """1.0 where a cover is as near to a catalogue cover as its copies are, else 0.0 [P]."""
    return (cosine_P >= threshold.cosine).astype(np.float64)


def edited_copies(images_BHWC: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Each 8-bit image as a copy of it would look: cropped by up to 2 %, light changed by up to 5 %, JPEG of quality 80."""
    if images_BHWC.dtype != np.uint8 or images_BHWC.ndim != 4 or images_BHWC.shape[-1] != 3:
        raise MetricInputError(f"images of {images_BHWC.dtype} and shape {images_BHWC.shape}; expected uint8 [B, H, W, 3]")
    rng = np.random.default_rng(seed)
    return np.stack([_edited(Image.fromarray(image), rng) for image in images_BHWC])


def _edited(image: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
    width, height = image.size
    left, top, right, bottom = (rng.uniform(0, _CROP, size=4) * (width, height, width, height)).tolist()
    cut = image.resize((width, height), Image.Resampling.BICUBIC, box=(left, top, width - right, height - bottom))
    lit = ImageEnhance.Brightness(cut).enhance(float(rng.uniform(1 - _LIGHT, 1 + _LIGHT)))
    sink = io.BytesIO()
    lit.save(sink, format="JPEG", quality=_QUALITY)
    return np.asarray(Image.open(io.BytesIO(sink.getvalue()), formats=["JPEG"]).convert("RGB"), dtype=np.uint8)


def _units(features_ND: Features, what: str, least: int = 1) -> Doubles:
    found = as_features(features_ND, what, least)
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12))
