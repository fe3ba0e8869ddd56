"""Statistics of the real covers that segments prefer: pale where they like pale ones, vivid where they like vivid ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from icg_tasks.backbones.device import choose_compute
from icg_tasks.lake.registry import require_champion
from icg_tasks.models.icg.audience import Audience, read_audience
from icg_tasks.models.icg.catalogue import Catalogue, read_catalogue
from icg_tasks.models.icg.ground import open_studio
from icg_tasks.models.icg.liked import liked_statistics
from icg_tasks.models.icg.studio import Studio
from icg_tasks.models.preference.model import KIND
from tests.models.icg.planting import plant


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Studio, Catalogue, Audience]:
    context = plant(tmp_path_factory.mktemp("liked"))
    studio = open_studio(
        context, require_champion(context.store, KIND, context.run_date), choose_compute(context.settings.backbones)
    )
    return studio, read_catalogue(context)[0], read_audience(context, 256)


def test_the_covers_that_a_segment_prefers_decide(scene: tuple[Studio, Catalogue, Audience]) -> None:
    studio, covers, audience = scene
    model, one = studio.judges.preference, replace(audience, segments_SV=audience.segments_SV[:1])
    vectors = torch.from_numpy(covers.vectors_NV)
    with torch.no_grad():
        user = torch.from_numpy(one.segments_SV).expand(len(covers), -1)
        order = model.score(user, vectors[:, :128], vectors[:, 128:]).argsort(descending=True).tolist()
    red, grey = Image.new("RGB", (64, 64), (255, 0, 0)), Image.new("RGB", (64, 64), (128, 128, 128))
    painted = list(covers.images)
    for rank, row in enumerate(order):
        painted[row] = red if rank < 12 else grey
    found = liked_statistics(studio, replace(covers, images=painted), one)
    assert found["saturation"] == pytest.approx(1.0)
    assert found["edge_density"] == pytest.approx(0.0)
    painted[order[0]] = grey
    assert liked_statistics(studio, replace(covers, images=painted), one)["saturation"] == pytest.approx(11 / 12)


def test_segments_count_alike(scene: tuple[Studio, Catalogue, Audience]) -> None:
    studio, covers, audience = scene
    alone = [
        liked_statistics(studio, covers, replace(audience, segments_SV=audience.segments_SV[row : row + 1]))["saturation"]
        for row in range(3)
    ]
    assert liked_statistics(studio, covers, audience)["saturation"] == pytest.approx(np.mean(alone), abs=1e-5)
