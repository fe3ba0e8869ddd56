from pathlib import Path

import numpy as np
import pytest
import torch

from icg_tasks.config.settings import BackboneSettings
from icg_tasks.models.preference.model import PreferenceModel
from icg_tasks.models.preference.network import PreferenceConfig, PreferenceNetwork
from icg_tasks.models.rewards.context import RewardContext, RewardModels
from icg_tasks.world import CoverAttributes, Look, draw_cover

SUBJECTS = ("rocket", "cat", "sailboat", "flower", "house", "key")
TITLES = ("Countdown", "The Playful Kitten", "The Quiet Harbour", "A Merry Bouquet", "The Family Home", "The Lost Padlock")


def preference_model(width: int) -> PreferenceModel:
    """A preference model of random weights whose scores spread over several deviations."""
    torch.manual_seed(3)
    network = PreferenceNetwork(PreferenceConfig(width=width, rank=8, num_slots=2))
    network.start(torch.randn(64, 2 * width), np.zeros(2), -1.4, strength=2.0)
    return PreferenceModel(network=network.eval().requires_grad_(False), encoder="test", score_mean=-1.4, score_deviation=0.01)


@pytest.fixture(scope="session")
def models() -> RewardModels:
    """The shipped encoder and aesthetic head, and a random preference model."""
    torch.set_num_threads(1)
    shipped = RewardModels.load(BackboneSettings(), None)
    return RewardModels(
        encoder=shipped.encoder, aesthetic=shipped.aesthetic, preference=preference_model(shipped.encoder.embedding_width)
    )


@pytest.fixture(scope="session")
def drawn() -> np.ndarray:
    """One cover per subject, uint8 (6, 64, 64, 3)."""
    look = Look(palette="ocean", layout="full", texture="plain", density="sparse")
    return np.stack([draw_cover(CoverAttributes(subject=name, look=look), seed=5) for name in SUBJECTS])


@pytest.fixture(scope="session")
def images(drawn) -> torch.Tensor:
    """The same covers as pixels in [0, 1], (6, 3, 64, 64)."""
    return torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255


@pytest.fixture
def context(models) -> RewardContext:
    torch.manual_seed(4)
    users = torch.randn(len(TITLES), 2 * models.encoder.embedding_width) / models.encoder.embedding_width**0.5
    return RewardContext(models=models, title_vectors=models.titles(TITLES), user_vectors=users)


@pytest.fixture(scope="session")
def zoo() -> Path:
    return Path(__file__).resolve().parents[3] / "zoo"
