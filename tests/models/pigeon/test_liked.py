"""A user vector's history: the covers it would like most beyond everybody, kept with the version."""

from pathlib import Path

import pytest
import torch

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.models.pigeon.liked import LikedCovers
from icg_tasks.models.preference.model import PreferenceModel
from icg_tasks.models.preference.network import PreferenceConfig, PreferenceNetwork

WIDTH = 8


@pytest.fixture
def preference() -> PreferenceModel:
    network = PreferenceNetwork(PreferenceConfig(width=WIDTH, rank=4, num_slots=1))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(torch.randn(weights.shape, generator=generator))
    return PreferenceModel(network=network.eval(), encoder="none", score_mean=0.0, score_deviation=1.0)


@pytest.fixture
def liked() -> LikedCovers:
    generator = torch.Generator().manual_seed(2)
    vectors = torch.nn.functional.normalize(torch.randn(30, 2, WIDTH, generator=generator), dim=-1).flatten(1)
    return LikedCovers(codes_IN=torch.arange(30)[:, None].expand(-1, 4), vectors_IV=vectors)


def test_a_history_is_what_the_vector_likes_beyond_everybody(liked: LikedCovers, preference: PreferenceModel) -> None:
    user = torch.randn(2 * WIDTH, generator=torch.Generator().manual_seed(3))
    images, titles = liked.vectors_IV.split(WIDTH, dim=1)
    gain = preference.score(user.expand(30, -1), images, titles) - preference.base_score(images, titles)
    expected = gain.topk(5).indices.flip(0).tolist()
    found = liked.history(preference, user, 5)
    assert found.codes_HN[:, 0].tolist() == expected
    assert torch.equal(found.looks_HE, images[expected])
    other = liked.history(preference, -user, 5)
    assert not set(other.codes_HN[:, 0].tolist()) & set(expected)


def test_it_comes_through_a_versions_file(liked: LikedCovers, preference: PreferenceModel, tmp_path: Path) -> None:
    for name, data in liked.files().items():
        (tmp_path / name).write_bytes(data)
    again = LikedCovers.load(tmp_path, torch.device("cpu"))
    assert torch.equal(again.codes_IN, liked.codes_IN)
    assert torch.equal(again.vectors_IV, liked.vectors_IV)
    few = LikedCovers(codes_IN=liked.codes_IN[:2], vectors_IV=liked.vectors_IV[:2])
    assert len(few.history(preference, torch.ones(2 * WIDTH), 5).codes_HN) == 5
    (tmp_path / "liked.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataCorrupt, match=r"no usable liked.safetensors"):
        LikedCovers.load(tmp_path, torch.device("cpu"))
