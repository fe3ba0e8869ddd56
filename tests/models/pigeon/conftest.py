"""A tiny Janus for all tests of Pigeon, on one thread."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from icg_tasks.backbones.device import Compute
from icg_tasks.backbones.tokens.janus import Janus
from icg_tasks.config.pigeon import PigeonSettings
from icg_tasks.models.pigeon.model import Pigeon, PigeonShape
from icg_tasks.models.pigeon.sequence import Asked
from tests.models.pigeon.planting import tiny_token_model

CPU = Compute(device=torch.device("cpu"), bfloat16=False)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def janus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tests must not write there."""
    return tiny_token_model(tmp_path_factory.mktemp("tokens"))


@pytest.fixture
def tokens(janus_folder: Path) -> Janus:
    return Janus.load(str(janus_folder), CPU)


@pytest.fixture
def pigeon(tokens: Janus) -> Pigeon:
    made = Pigeon(tokens, PigeonShape.of(tokens, PigeonSettings()), seed=3).requires_grad_(False)
    made.learn(masks=True)
    return made


@pytest.fixture
def asked() -> Asked:
    generator = torch.Generator().manual_seed(9)
    return Asked(
        history_BHN=torch.randint(16, (3, 5, 16), generator=generator),
        reference_BN=torch.randint(16, (3, 16), generator=generator),
        titles=["A boat at dawn", "x", ""],
    )
