"""Window sums: added up anew or carried from date to date, the same bytes."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from icg_tasks.contracts.schemas import USER_DAYS
from icg_tasks.features.exact_sums import vector_array
from icg_tasks.features.vector_formula import decay
from icg_tasks.features.window_sums import (
    BITS,
    Part,
    carried_scale,
    everybody,
    own_scale,
    scaled_users,
    summed,
    unscaled_users,
)

START = date(2026, 2, 20)
WIDTH = 3
PRIOR = 4.0


def day_sums(seed: int, users: list[str], size: float = 1.0) -> pa.Table:
    rng = np.random.default_rng(seed)
    count = len(users)
    vectors = vector_array((rng.normal(size=(count, WIDTH)) * size).astype(np.float32))
    numbers = [pa.array(rng.random(count)), pa.array(rng.integers(1, 9, size=count)), pa.array(rng.integers(0, 3, size=count))]
    return pa.Table.from_arrays([pa.array(users, pa.string()), vectors, *numbers], schema=USER_DAYS)


def window(former, added, removed, scale):
    parts = [Part(day=day, table=table) for day, table in added] + [Part(day=day, table=t, sign=-1) for day, t in removed]
    users = everybody([*(part.table["user_id"] for part in parts), *([former["user_id"]] if former is not None else [])])
    return summed(users, former, parts, WIDTH, scale)


@settings(max_examples=25, deadline=None)
@given(
    active=some.lists(some.sets(some.sampled_from(["u1", "u2", "u3", "ü4"])), min_size=12, max_size=12),
    half_life=some.sampled_from([1.0, 7.0, 21.0]),
    window_days=some.integers(1, 6),
    size=some.sampled_from([1e-3, 1.0, 1e6]),
)
def test_carried_windows_are_windows_added_up_anew(active, half_life, window_days, size):
    days = [(START + timedelta(days=age), day_sums(age, sorted(users), size)) for age, users in enumerate(active)]
    former, former_scale = None, None
    for number, (run_date, _) in enumerate(days):
        scale = carried_scale(run_date, half_life)
        inside = days[max(0, number - window_days + 1) : number + 1]
        anew = window(None, inside, [], scale)
        if former is not None and former_scale == scale:
            removed = days[number - window_days : number - window_days + 1] if number >= window_days else []
            assert window(former, [days[number]], removed, scale).equals(anew)
        former, former_scale = anew, scale
        assert set(anew["user_id"].to_pylist()) == set().union(
            *(active[n] for n in range(number - len(inside) + 1, number + 1))
        )


@pytest.mark.parametrize("scale_of", [own_scale, carried_scale])
def test_vectors_are_those_of_the_formula(scale_of):
    run_date = START + timedelta(days=9)
    days = [(run_date - timedelta(days=age), day_sums(age, ["u1", "u2"])) for age in (0, 3, 8)]
    scale = scale_of(run_date, 7.0)
    users, norm = unscaled_users(window(None, days, [], scale), WIDTH, scale, run_date, PRIOR)
    total = 0.0
    for row in users.to_pylist():
        mine = [
            (decay((run_date - day).days, 7.0), one)
            for day, t in days
            for one in t.to_pylist()
            if one["user_id"] == row["user_id"]
        ]
        weight = sum(share * one["weight"] for share, one in mine)
        expected = sum(share * np.array(one["vector_sum"]) for share, one in mine) / (weight + PRIOR)
        assert row["vector"] == pytest.approx(expected, abs=1e-6)
        assert row["weight"] == pytest.approx(weight, abs=1e-6)
        assert row["impressions"] == sum(one["impressions"] for _, one in mine)
        total += float(np.square(expected).sum())
    assert norm / 2**BITS == pytest.approx(total, rel=1e-5)
    doubled = scaled_users(users, WIDTH, 2.0)
    assert doubled["vector"].to_pylist()[1] == [2 * value for value in users["vector"].to_pylist()[1]]
    assert doubled.schema.equals(users.schema)


def test_nobody_is_an_empty_window():
    scale = own_scale(START, 7.0)
    empty = window(None, [(START, day_sums(0, []))], [], scale)
    assert len(empty) == 0
    assert unscaled_users(empty, WIDTH, scale, START, PRIOR)[1] == 0


def test_a_bot_saturates_instead_of_overflowing():
    scale = carried_scale(START, 21.0)
    days = [(START + timedelta(days=age), day_sums(1, ["bot"], size=1e20)) for age in range(60)]
    found = window(None, days, [], scale)["vector"].to_pylist()[0]
    assert [np.sign(value) for value in found] == [np.sign(value) for value in days[0][1]["vector_sum"].to_pylist()[0]]
