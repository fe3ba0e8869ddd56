from functools import partial

import numpy as np
import pytest

from icg_tasks.contracts.errors import SettingsError
from icg_tasks.features.clustering import k_means
from icg_tasks.features.segment_count import chosen_count, parsed_counts, strengths, together


def finder(points, weight, count):
    return k_means(points, weight, count, seed=5, starts=4, max_iterations=30)


@pytest.mark.parametrize("true_count", [3, 6])
def test_as_many_groups_are_found_as_there_are(true_count):
    rng = np.random.default_rng(true_count)
    centres = np.eye(8)[:true_count]
    points = centres[rng.integers(true_count, size=600)] + rng.normal(size=(600, 8)) * 0.15
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    found = strengths(points, np.ones(600), [2, 3, 6, 12], finder, seed=1)
    assert found[true_count] > 0.95
    assert found[12] < 0.85
    assert chosen_count(found, 0.9, None, 0.0) == true_count


def test_noise_has_no_groups_to_speak_of():
    points = np.random.default_rng(0).normal(size=(400, 12))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    assert strengths(points, np.ones(400), [8], finder, seed=1)[8] < 0.35


def test_chance_is_zero():
    rng = np.random.default_rng(2)
    assert abs(np.mean([together(rng.integers(3, size=500), rng.integers(3, size=500)) for _ in range(20)])) < 0.01
    assert together(np.zeros(5, dtype=np.int64), np.zeros(5, dtype=np.int64)) == 0.0


def test_where_nothing_agrees_enough_the_best_counts():
    assert chosen_count({4: 0.3, 8: 0.4, 16: 0.4}, 0.9, None, 0.05) == 8
    assert partial(chosen_count, {4: 0.95, 8: 0.9}, 0.8)(99, 0.05) == 8


def test_counts_are_checked():
    assert parsed_counts("") == []
    for text in ("0", "6;8", "-3", "1000000"):
        with pytest.raises(SettingsError, match="segment_counts"):
            parsed_counts(text)
