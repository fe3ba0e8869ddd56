"""The canaries' plain image statistics: what they say of images whose answer is known."""

import pytest
import torch

from icg_tasks.models.image_statistics import IMAGE_STATISTICS, dark_share, edge_density, saturation


def test_each_image_has_its_own_number_in_range() -> None:
    images = torch.rand(4, 3, 8, 12, generator=torch.Generator().manual_seed(1))
    for name, statistic in IMAGE_STATISTICS.items():
        found = statistic(images)
        assert found.shape == (4,), name
        assert ((found >= 0) & (found <= 1)).all(), name
        assert statistic(images[2:3])[0] == pytest.approx(float(found[2])), name


def test_black_grey_stripes_and_red() -> None:
    black, grey, stripes, red = torch.zeros(3, 4, 4), torch.full((3, 4, 4), 0.5), torch.zeros(3, 4, 4), torch.zeros(3, 4, 4)
    stripes[:, :, ::2] = 1.0
    red[0] = 1.0
    images = torch.stack([black, grey, stripes, red])
    assert dark_share(images).tolist() == [1.0, 0.0, 0.5, 0.0]
    assert edge_density(images).tolist() == [0.0, 0.0, 0.5, 0.0]
    assert saturation(images).tolist() == [0.0, 0.0, 0.0, 1.0]
