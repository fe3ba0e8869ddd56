"""A denoiser of SDXL's layout: the shipped tiny checkpoint, through the same code that loads the public ones."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from icg_tasks.backbones.denoisers.conditioning import Conditioning, Denoiser, join
from icg_tasks.backbones.denoisers.table import open_denoiser
from icg_tasks.backbones.device import choose_compute
from icg_tasks.config.settings import BackboneSettings, CoverSettings, Settings
from icg_tasks.contracts.errors import DataCorrupt, DataMissing, SettingsError
from icg_tasks.world import CoverAttributes, Look, draw_cover

SETTINGS = Settings(backbones=BackboneSettings(device="cpu", precision="float32"))
TEXTS = ["a cover of a rocket, in neon colours", "a cover of a cup, in sepia colours", "a tree"]


@pytest.fixture(scope="module")
def denoiser() -> Iterator[Denoiser]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield open_denoiser(SETTINGS, choose_compute(SETTINGS.backbones))
    torch.set_num_threads(threads)


def covers() -> torch.Tensor:
    looks = [("rocket", "neon"), ("cup", "sepia"), ("tree", "forest")]
    images = [
        draw_cover(CoverAttributes(subject=s, look=Look(palette=p, layout="full", texture="plain", density="sparse")), 5)
        for s, p in looks
    ]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def test_a_batch_equals_single_runs(denoiser: Denoiser) -> None:
    told, noise = denoiser.encode_text(TEXTS), denoiser.noise([1, 2, 3])
    together = denoiser.decode(denoiser.sample(told, denoiser.unconditional(), noise, steps=3, guidance=2.0))
    for row in range(3):
        one = slice(row, row + 1)
        alone = denoiser.sample(told.rows(one), denoiser.unconditional(), denoiser.noise([row + 1]), steps=3, guidance=2.0)
        assert (denoiser.decode(alone) - together[one]).abs().max() < 1 / 255
    assert (together[0] - together[1]).abs().mean() > 0.05


def test_noise_is_each_images_own(denoiser: Denoiser) -> None:
    assert torch.equal(denoiser.noise([7, 8])[1], denoiser.noise([8])[0])
    assert not torch.equal(denoiser.noise([7])[0], denoiser.noise([8])[0])


def test_gradients_reach_the_conditioning_of_their_own_row_through_the_last_steps(denoiser: Denoiser) -> None:
    told, noise = denoiser.encode_text(TEXTS[:2]), denoiser.noise([1, 2])
    norms = []
    for steps in (0, 1, 3):
        heard = Conditioning(sequence=told.sequence.clone().requires_grad_(steps > 0), pooled=told.pooled)
        latents = denoiser.sample_with_gradient(
            heard, denoiser.unconditional(), noise, steps=3, guidance=2.0, gradient_steps=steps
        )
        if steps == 0:
            assert not latents.requires_grad
            plain = latents
            continue
        assert (latents - plain).abs().max() < 1e-3  # a gradient changes nothing about the image but rounding
        denoiser.decode(latents)[0].mean().backward()
        assert heard.sequence.grad is not None
        assert heard.sequence.grad[1].abs().max() == 0  # no leak from row to row
        norms.append(heard.sequence.grad[0].norm())
    assert norms[1] > 0
    assert not torch.isclose(norms[0], norms[1])


def test_the_right_text_denoises_better_than_a_wrong_one(denoiser: Denoiser) -> None:
    latents, told, noise = denoiser.encode_images(covers()), denoiser.encode_text(TEXTS), denoiser.noise([4, 5, 6])
    times = torch.full((3,), denoiser.num_train_timesteps - 1)
    right = denoiser.denoising_loss(latents, told, noise, times)
    wrong = denoiser.denoising_loss(latents, told.rows(torch.tensor([1, 0, 0])), noise, times)
    assert right.shape == (3,)
    assert (right[:2] < wrong[:2]).all()


def test_autoencoder_keeps_covers_and_takes_any_size(denoiser: Denoiser) -> None:
    back = denoiser.decode(denoiser.encode_images(covers()))
    assert -10 * torch.log10((back - covers()).square().mean()) > 24
    larger = torch.nn.functional.interpolate(covers(), scale_factor=2)
    assert denoiser.encode_images(larger).shape == denoiser.encode_images(covers()).shape


def test_decoding_stays_in_range_and_lets_gradients_through_the_clamp(denoiser: Denoiser) -> None:
    latents = (denoiser.encode_images(covers()) * 4).requires_grad_()
    pixels = denoiser.decode(latents)
    assert pixels.min() >= -1e-6
    assert pixels.max() <= 1 + 1e-6
    pixels.sum().backward()
    assert latents.grad is not None
    assert latents.grad.abs().max() > 0


def test_conditioning_rows_join_and_expand(denoiser: Denoiser) -> None:
    told = denoiser.encode_text(TEXTS)
    assert torch.equal(join([told.rows(slice(0, 1)), told.rows(slice(1, 3))]).sequence, told.sequence)
    assert len(denoiser.unconditional().expand(4)) == 4
    assert told.sequence.shape[1:] == (denoiser.shape.length, denoiser.shape.width)


def test_what_cannot_be_loaded_says_so(tmp_path: Path) -> None:
    compute = choose_compute(SETTINGS.backbones)
    with pytest.raises(SettingsError, match="denoiser_family"):
        open_denoiser(Settings(backbones=BackboneSettings(denoiser_family="none")), compute)
    with pytest.raises(DataMissing, match="safetensors"):
        open_denoiser(Settings(backbones=BackboneSettings(denoiser=str(tmp_path))), compute)
    with pytest.raises(DataCorrupt, match="size_pixels"):
        open_denoiser(Settings(covers=CoverSettings(size_pixels=65)), compute)
