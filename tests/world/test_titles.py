"""Titles: rich, never naming a look, one subject each."""

from __future__ import annotations

import re
from itertools import chain

import numpy as np

from icg_tasks.world import DENSITIES, LAYOUTS, MOODS, PALETTES, SUBJECTS, TEXTURES, make_title
from icg_tasks.world.titles import MOOD_WORDS, SUBJECT_PHRASES

LOOK_WORDS = frozenset(chain(PALETTES, LAYOUTS, TEXTURES, DENSITIES))


def _titles(count: int) -> list[str]:
    rng = np.random.default_rng(1)
    return [make_title(SUBJECTS[n % len(SUBJECTS)], MOODS[n % len(MOODS)], rng) for n in range(count)]


def test_titles_never_name_a_look() -> None:
    words = set(re.findall(r"[a-z]+", " ".join(_titles(6000)).lower()))
    assert len(words) > 200
    assert not words & LOOK_WORDS


def test_the_grammar_is_rich() -> None:
    assert len(set(_titles(6000))) > 4000
    assert set(SUBJECT_PHRASES) == set(SUBJECTS)
    assert set(MOOD_WORDS) == set(MOODS)
    assert min(len(set(phrases)) for phrases in SUBJECT_PHRASES.values()) >= 12
    assert min(len(set(words)) for words in MOOD_WORDS.values()) >= 8


def test_no_phrase_serves_two_subjects_or_moods() -> None:
    for table in (SUBJECT_PHRASES, MOOD_WORDS):
        entries = list(chain.from_iterable(table.values()))
        assert len(entries) == len(set(entries))


def test_titles_are_deterministic() -> None:
    assert _titles(20) == _titles(20)
    assert _titles(2)[0][0].isupper()
