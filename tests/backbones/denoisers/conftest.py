"""Tiny checkpoints of every family, written once a session, and loaded once by the production path."""

from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, LCMScheduler

from icg_tasks.backbones.denoisers.latent import LatentDenoiser
from icg_tasks.backbones.denoisers.table import DENOISER_FAMILIES
from icg_tasks.backbones.device import Compute
from tests.backbones.denoisers.tiny import BETAS, TINY_DENOISERS, write_flux, write_sd3, write_sd15, write_sdxl
from tests.backbones.denoisers.tiny_parts import SIZE_PIXELS

COMPUTE = Compute(device=torch.device("cpu"), bfloat16=False)
VARIANTS: dict[str, Callable[[Path], None]] = {
    **{family: lambda folder, write=write: write(folder, 1) for family, write in TINY_DENOISERS.items()},  # type: ignore[misc]
    "sd3-without-t5": lambda folder: write_sd3(folder, 1, t5=False),
    "sd3-stochastic": lambda folder: write_sd3(folder, 1, stochastic=True),
    "sd15-lcm": lambda folder: write_sd15(folder, 1, consistent=True),
    "sdxl-lcm": lambda folder: write_sdxl(folder, 1, scheduler=LCMScheduler(**BETAS)),
    "sdxl-dpm": lambda folder: write_sdxl(folder, 1, scheduler=DPMSolverMultistepScheduler(**BETAS)),
    "sdxl-dpm-sde": lambda folder: write_sdxl(
        folder, 1, scheduler=DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++", **BETAS)
    ),
    "flux-undistilled": lambda folder: write_flux(folder, 1, distilled=False),
}
"""Family, and what else it may come as behind a dash."""


def load(folder: Path, family: str) -> LatentDenoiser:
    module, name = DENOISER_FAMILIES[family]
    found: LatentDenoiser = getattr(import_module(module), name).load(str(folder), COMPUTE, size_pixels=SIZE_PIXELS)
    return found


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A variant's checkpoint folder; not to be written to."""

    @cache
    def made(variant: str) -> Path:
        folder = tmp_path_factory.mktemp(variant)
        VARIANTS[variant](folder)
        return folder

    return made


@pytest.fixture(scope="session")
def loaded(folder_of: Callable[[str], Path]) -> Callable[[str], LatentDenoiser]:
    """A variant's denoiser; not to be changed."""
    return cache(lambda variant: load(folder_of(variant), variant.partition("-")[0]))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def denoiser(loaded: Callable[[str], LatentDenoiser], variant: str) -> LatentDenoiser:
    return loaded(variant)
