import numpy as np
import pytest

from icg_tasks.features.matching import Former, match_segments, nobody


def former(names=("s000", "s004"), encoder_same=True, next_number=5):
    centroids = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]) if encoder_same else None
    return Former(names=list(names), sizes_F=np.array([10, 20]), centroids_FV=centroids, next_number=next_number)


def test_first_day_numbers_from_zero():
    matches, number = match_segments(np.array([5, 5]), np.eye(2), np.zeros((2, 0), dtype=int), nobody(2))
    assert [match.segment_id for match in matches] == ["s000", "s001"]
    assert number == 2
    assert all(match.matched_from is None and match.drift is None for match in matches)


def test_groups_keep_the_name_of_those_they_resemble_and_new_ones_get_unused_numbers():
    today = np.array([[0.1, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    shared = np.array([[1, 15], [2, 3], [7, 1]])
    matches, number = match_segments(np.array([18, 9, 9]), today, shared, former())
    assert [match.segment_id for match in matches] == ["s004", "s005", "s000"]
    assert [match.matched_from for match in matches] == ["s004", None, "s000"]
    assert matches[0].drift == pytest.approx(1 - 1 / np.sqrt(1.01))
    assert matches[2].drift == 0.0
    assert number == 6


def test_of_another_encoder_users_alone_decide():
    matches, _ = match_segments(np.array([20, 10]), np.eye(3)[:2], np.array([[0, 18], [1, 1]]), former(encoder_same=False))
    assert [match.segment_id for match in matches] == ["s004", "s005"]
    assert matches[0].drift is None


def test_a_number_is_never_used_twice_even_if_the_record_of_it_was_lost():
    matches, number = match_segments(np.array([9]), -np.eye(3)[:1], np.zeros((1, 2), dtype=int), former(next_number=0))
    assert [match.segment_id for match in matches] == ["s005"]
    assert number == 6
