"""Memory stays flat while covers are made: batches are handed on, nothing of them is kept."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from icg_tasks.covers.engine import CoverEngine, CoverRequest
from tests.covers.conftest import picture, png
from tests.covers.studio import USER_WIDTH, build_studio

_COVERS, _BATCH = 10_000, 8
_MOST_GROWTH_BYTES = 40_000_000


@pytest.mark.slow
def test_ten_thousand_covers_need_no_more_memory_than_the_first_thousand(tmp_path: Path) -> None:
    house = build_studio(tmp_path)
    house.set(steps=1, candidates=1)
    engine = CoverEngine.load(house.context("generate-covers"))
    random = np.random.default_rng(1)

    def batches() -> Iterator[list[CoverRequest]]:
        for number in range(0, _COVERS, _BATCH):
            image = png(picture(number, 64))
            tastes = random.normal(0, 0.1, (_BATCH, USER_WIDTH)).astype(np.float32)
            yield [
                CoverRequest(item_id=f"i{number}", title=f"Number {number}", image_bytes=image, user_vector=taste, seed=seed)
                for seed, taste in enumerate(tastes)
            ]

    made, early = 0, 0
    for covers in engine.make(batches()):
        made += len(covers)
        if made == _COVERS // 10:
            early = psutil.Process().memory_info().rss
    assert made == _COVERS
    assert psutil.Process().memory_info().rss - early < _MOST_GROWTH_BYTES
