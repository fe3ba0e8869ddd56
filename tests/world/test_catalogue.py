"""Captions: all that is asked for, nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from icg_tasks.world import ATTRIBUTE_VALUES, UnknownAttributeError, caption, random_clauses, sample_attributes


def test_a_full_caption_names_everything() -> None:
    rng = np.random.default_rng(2)
    for _ in range(300):
        attributes = sample_attributes(rng)
        text = caption(attributes, rng)
        missing = [value for value in attributes.as_dict().values() if value not in text]
        assert missing == []


def test_a_dropped_clause_is_not_said() -> None:
    rng = np.random.default_rng(3)
    for _ in range(100):
        attributes = sample_attributes(rng)
        text = caption(attributes, rng, ("subject", "palette"))
        words = set(text.replace(",", " ").split())
        for name in ("texture", "density"):
            assert not words & set(ATTRIBUTE_VALUES[name])


def test_random_clauses_keep_the_subject() -> None:
    rng = np.random.default_rng(4)
    drawn = {random_clauses(rng) for _ in range(200)}
    assert all(clauses[0] == "subject" for clauses in drawn)
    assert len(drawn) == 16


def test_wrong_clauses_are_refused() -> None:
    rng = np.random.default_rng(5)
    attributes = sample_attributes(rng)
    with pytest.raises(UnknownAttributeError, match="weather"):
        caption(attributes, rng, ("subject", "weather"))
    with pytest.raises(ValueError, match="at least one"):
        caption(attributes, rng, ())
