"""MS-SSIM: known values and orders."""

import numpy as np
import pytest
import torch

from icg_tasks.evaluation.metrics.inputs import MetricInputError
from icg_tasks.evaluation.metrics.structure import ms_ssim, num_scales


def smooth(size: int = 64, count: int = 3) -> torch.Tensor:
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(coarse, size=size, mode="bicubic").clamp(0, 1)


def noisy(images: torch.Tensor, deviation: float) -> torch.Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    return (images + deviation * noise).clamp(0, 1)


def test_an_image_is_wholly_like_itself_and_the_order_does_not_matter() -> None:
    images = smooth()
    assert ms_ssim(images, images) == pytest.approx([1, 1, 1])
    other = noisy(images, 0.1)
    assert ms_ssim(images, other) == pytest.approx(ms_ssim(other, images))


def test_the_more_noise_the_less_alike() -> None:
    images = smooth()
    found = np.stack([ms_ssim(images, noisy(images, deviation)) for deviation in (0.02, 0.1, 0.3)])
    assert (np.diff(found, axis=0) < -0.02).all()
    assert (ms_ssim(images, images.roll(1, dims=0)) < found[1]).all()  # other pictures


def test_a_shift_costs_more_than_a_little_light() -> None:
    images = smooth()
    assert (ms_ssim(images, images * 0.95) > ms_ssim(images, images.roll(6, dims=3)) + 0.02).all()


def test_flat_images_differ_by_the_published_light_term() -> None:
    """No structure anywhere: what is left is (2ab + c) / (a^2 + b^2 + c) to the power of the last scale's share."""
    dark, light = torch.full((1, 3, 64, 64), 0.2), torch.full((1, 3, 64, 64), 0.6)
    term = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ms_ssim(dark, light)[0] == pytest.approx(term ** (0.3001 / (0.0448 + 0.2856 + 0.3001)), abs=1e-6)


def test_one_scale_is_plain_ssim_of_a_window() -> None:
    """11 x 11 pixels: one window. SSIM by its formula with the Gaussian weights written out."""
    one, other = torch.rand(2, 1, 3, 11, 11, generator=torch.Generator().manual_seed(3)).double()
    line = torch.exp(-((torch.arange(11).double() - 5) ** 2) / (2 * 1.5**2))
    window = torch.outer(line, line) / line.sum() ** 2
    expected = []
    for a, b in zip(one[0], other[0], strict=True):
        mean_a, mean_b = (window * a).sum(), (window * b).sum()
        var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
        cov = (window * (a - mean_a) * (b - mean_b)).sum()
        light = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
        expected.append(max(float(light * (2 * cov + 9e-4) / (var_a + var_b + 9e-4)), 0.0))
    assert ms_ssim(one.float(), other.float())[0] == pytest.approx(np.mean(expected), abs=1e-5)


def test_bytes_and_floats_are_the_same_image_and_sizes_may_differ() -> None:
    images = (smooth() * 255).round().byte()
    whole = images.permute(0, 2, 3, 1).numpy()
    assert ms_ssim(whole, images.float() / 255) == pytest.approx([1, 1, 1])
    larger = torch.nn.functional.interpolate(images.float() / 255, size=96, mode="bicubic").clamp(0, 1)
    assert (ms_ssim(whole, larger) > 0.97).all()


def test_scales_follow_the_size() -> None:
    assert [num_scales(side, 500) for side in (11, 21, 22, 43, 44, 87, 88, 175, 176)] == [1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert 0 < ms_ssim(smooth(176, 1), noisy(smooth(176, 1), 0.1))[0] < 1


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(1, 3, 10, 40), "at least 11 x 11"),
        (torch.rand(1, 1, 40, 40), "expected at least one RGB image"),
        (torch.rand(0, 3, 40, 40), "expected at least one RGB image"),
        (torch.full((1, 3, 40, 40), 7.0), "pixels from 7 to 7"),
        (torch.full((1, 3, 40, 40), torch.nan), "pixels from nan"),
        (np.zeros((1, 40, 40, 3)), "expected uint8"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(images: torch.Tensor, message: str) -> None:
    with pytest.raises(MetricInputError, match=message):
        ms_ssim(images, images)


def test_a_counterpart_for_each() -> None:
    with pytest.raises(MetricInputError, match="3 images against 2"):
        ms_ssim(smooth(), smooth(count=2))
