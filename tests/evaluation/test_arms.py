import pytest

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.holdout import is_held_out_item
from icg_tasks.evaluation.arms import deranged, held_out_order


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


@pytest.mark.parametrize("count", [2, 3, 6])
def test_nobody_keeps_their_own_cover_when_swapped(count: int) -> None:
    given = deranged(count)
    assert sorted(given) == list(range(count))
    assert all(number != other for number, other in enumerate(given))


def test_one_segment_cannot_be_swapped() -> None:
    with pytest.raises(DataMissing, match="at least two"):
        deranged(1)
