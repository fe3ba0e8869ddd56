"""Conditionings: rows, joining and choosing carry the mask along, and differences count what was wanted."""

import torch

from icg_tasks.backbones.denoisers.conditioning import (
    Conditioning,
    ConditioningShape,
    choose,
    join,
    spread,
    squared_differences,
)


def told(count: int, seed: int, *, pooled: int = 3, masked: bool = False) -> Conditioning:
    draws = torch.Generator().manual_seed(seed)
    mask = torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(count, -1) if masked else None
    return Conditioning(
        sequence=torch.randn(count, 4, 5, generator=draws), pooled=torch.randn(count, pooled, generator=draws), mask=mask
    )


def test_a_mask_travels_with_its_rows() -> None:
    masked = told(3, 1, masked=True)
    part = masked.rows(torch.tensor([2, 0]))
    assert part.mask is not None
    assert part.mask.shape == (2, 4)
    assert masked.rows(slice(0, 1)).expand(5).mask.shape == (5, 4)  # type: ignore[union-attr]
    assert masked.detach().mask is masked.mask


def test_joining_with_one_that_has_no_mask_lets_all_its_positions_count() -> None:
    both = join([told(1, 1), told(2, 2, masked=True)])
    assert both.mask is not None
    assert both.mask.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]
    assert join([told(1, 1), told(2, 2)]).mask is None


def test_choosing_takes_each_row_whole() -> None:
    first, second = told(1, 1), told(3, 2, masked=True)
    chosen = choose(torch.tensor([True, False, True]), first, second)
    assert torch.equal(chosen.sequence[0], first.sequence[0])
    assert torch.equal(chosen.sequence[1], second.sequence[1])
    assert torch.equal(chosen.pooled[2], first.pooled[0])
    assert chosen.mask is not None
    assert chosen.mask.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 1]]


def test_differences_leave_out_what_does_not_count_and_survive_no_pooled_vector() -> None:
    found, wanted = told(2, 1), told(2, 2, masked=True)
    sequence, pooled = squared_differences(found, wanted)
    assert torch.isclose(sequence, (found.sequence - wanted.sequence)[:, :2].square().mean())
    assert torch.isclose(pooled, (found.pooled - wanted.pooled).square().mean())
    sequence, pooled = squared_differences(told(2, 1, pooled=0), told(2, 2, pooled=0))
    assert sequence > 0
    assert pooled == 0
    assert spread(torch.zeros(2, 0)) == 0
    assert torch.isclose(spread(wanted.sequence), wanted.sequence.std())


def test_a_shape_is_length_and_widths_whatever_its_own_text_encoder_masks() -> None:
    shape = ConditioningShape(length=4, width=5, pooled=0)
    assert shape == ConditioningShape(length=4, width=5, pooled=0, masked=True)
    assert shape != ConditioningShape(length=4, width=5, pooled=1)
