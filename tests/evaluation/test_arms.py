import numpy as np
import pytest

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.holdout import is_held_out_item
from icg_tasks.evaluation.arms import Segment, held_out_order, least_alike


def test_held_out_order_is_stable_and_honest() -> None:
    names = [f"item-{number}" for number in range(200)]
    order = held_out_order(names, seed=1)
    assert 20 < len(order) < 60
    assert all(is_held_out_item(name) for name in order)
    assert order == held_out_order(list(reversed(names)), seed=1)
    assert order != held_out_order(names, seed=2)
    more = held_out_order([*names, *(f"new-{number}" for number in range(50))], seed=1)
    assert [name for name in more if name in set(order)] == order


def test_no_held_out_item_is_an_error_not_an_empty_table() -> None:
    trained_on = [name for name in (f"item-{number}" for number in range(9)) if not is_held_out_item(name)]
    with pytest.raises(DataMissing, match="held out"):
        held_out_order(trained_on, seed=1)


@pytest.mark.parametrize("count", [2, 3, 6, 12])
def test_nobody_keeps_their_own_cover_when_swapped(count: int) -> None:
    for seed in range(20):
        vectors = np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32) + np.float32(3)
        given = least_alike(vectors)
        assert sorted(given) == list(range(count))
        assert all(number != other for number, other in enumerate(given))


def test_segments_that_share_a_taste_are_not_swapped_with_each_other() -> None:
    vectors = np.array([[1, 0, 0], [1, 0.1, 0], [0, 1, 0], [0, 1, 0.1], [0, 0, 1], [0.1, 0, 1]], dtype=np.float32)
    assert all(number // 2 != other // 2 for number, other in enumerate(least_alike(vectors)))


def test_topics_do_not_decide_whose_look_is_swapped() -> None:
    vectors = np.array([[1, 0, 9, 0], [1, 0, -9, 0], [-1, 0, 9, 0], [-1, 0, -9, 0]], dtype=np.float32)
    segments = [Segment(segment_id=str(row), user_ids=["u"], vector=vector) for row, vector in enumerate(vectors)]
    given = least_alike(np.stack([segment.taste_in_looks for segment in segments]))
    assert all(vectors[row, 0] != vectors[other, 0] for row, other in enumerate(given))


def test_segments_without_a_direction_can_be_swapped() -> None:
    assert sorted(least_alike(np.zeros((3, 4), dtype=np.float32))) == [0, 1, 2]


def test_one_segment_cannot_be_swapped() -> None:
    with pytest.raises(DataMissing, match="at least two"):
        least_alike(np.ones((1, 4), dtype=np.float32))
