"""What identifies a cover before it is made: its seed, and a hash of everything that decides its pixels.

Pure functions over plain values and vectors; knows no store. Legend: V width of a user vector.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icg_tasks.config.settings import CoverSettings

DECIMALS = 4
"""Segment vectors are rounded to so many decimals, for the hash and for the model alike."""
PIPELINE = 4
"""Raise when the code changes what the same request draws: every cover is then made anew."""
_DECIDES = (
    "candidates",
    "steps",
    "guidance",
    "personalisation",
    "size_pixels",
    "webp_quality",
    "seed",
    "min_subject_relevance",
    "candidate_slack",
    "max_relevance_loss",
    "safety_checker",
    "title_overlay",
    "title_font",
)

Vector = NDArray[np.float32]


def rounded(vector_V: Sequence[float] | Vector) -> Vector:
    """The vector that a segment's covers are made for; negative zeros become zeros so that equal values have equal bytes.

    >>> rounded([0.12344999, -0.00001]).tolist() == [np.float32(0.1234), 0.0]
    True
    """
    return np.asarray(np.round(np.asarray(vector_V, dtype=np.float64), DECIMALS) + 0.0, dtype=np.float32)


def drift(old_V: Vector, new_V: Vector) -> float:
    """How far a vector has moved: cosine distance plus (difference of lengths)^2 / (2 x lengths). 0 = not at all.

    For equal lengths it is the cosine distance. From or to the zero vector it is infinite, between zero vectors 0.

    >>> round(drift(np.float32([1, 0]), np.float32([0, 1])), 6), drift(np.float32([0, 0]), np.float32([0, 1]))
    (1.0, inf)
    """
    old, new = np.asarray(old_V, dtype=np.float64), np.asarray(new_V, dtype=np.float64)
    if old.shape != new.shape:
        return float("inf")
    squared = float(((old - new) ** 2).sum())
    lengths = float(np.linalg.norm(old) * np.linalg.norm(new))
    if lengths == 0.0:
        return 0.0 if squared == 0.0 else float("inf")
    return squared / (2.0 * lengths)


def settings_that_decide(settings: CoverSettings) -> dict[str, Any]:
    """The settings a cover's pixels depend on."""
    return {name: getattr(settings, name) for name in _DECIDES}


def request_hash(
    *,
    segment_id: str,
    item_id: str,
    variant: int,
    content_hash: str,
    vector_V: Vector | None,
    versions: Mapping[str, str],
    settings: CoverSettings,
) -> str:
    """32 hex digits over everything that decides the cover; ``vector_V`` None = unpersonalised."""
    body = {
        "pipeline": PIPELINE,
        "segment": segment_id,
        "item": item_id,
        "variant": variant,
        "content": content_hash,
        "versions": dict(versions),
        "settings": settings_that_decide(settings),
    }
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode("utf-8", "surrogatepass"))
    if vector_V is not None:
        digest.update(rounded(vector_V).tobytes())
    return digest.hexdigest()[:32]


def cover_seed(segment_id: str, item_id: str, model_version: str, variant: int, base_seed: int) -> int:
    """A seed of 63 bits from stable names: the same cover has the same noise on every machine and in every shard."""
    text = json.dumps([base_seed, segment_id, item_id, model_version, variant])
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 1


def candidate_seed(seed: int, candidate: int) -> int:
    """The seed of one of a cover's candidate images; 63 bits.

    >>> candidate_seed(5, 0) != candidate_seed(5, 1)
    True
    """
    return int.from_bytes(hashlib.sha256(f"{seed}/{candidate}".encode()).digest()[:8], "big") >> 1
