"""Stickers: another catalogue of the same world; covers stay what they were, byte for byte."""

import hashlib
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from icg_tasks.config.settings import WorldSettings
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.world.attributes import SUBJECTS, CoverAttributes, Look
from icg_tasks.world.drawing import draw_cover
from icg_tasks.world.emotions import EMOTIONS
from icg_tasks.world.items import shelf
from icg_tasks.world.simulate import check_world
from icg_tasks.world.stickers import EMOTION_OF, EMOTION_PHRASES, draw_sticker, make_sticker_title

SMALL = WorldSettings(num_items=40, new_items_per_day=1)
LOOK = Look(palette="ocean", layout="full", texture="plain", density="sparse")


def test_covers_are_byte_for_byte_what_they_were(day: date) -> None:
    digest = hashlib.sha256()
    for item in shelf(SMALL, day).items[:24]:
        digest.update(item.title.encode() + item.draw().tobytes())
    assert digest.hexdigest()[:16] == "8bcb3752ed555ba1"


def test_every_emotion_has_a_face_and_words_of_its_own() -> None:
    assert tuple(EMOTION_OF) == SUBJECTS
    assert tuple(EMOTION_OF.values()) == EMOTIONS == tuple(EMOTION_PHRASES)
    phrases = [phrase for words in EMOTION_PHRASES.values() for phrase in words]
    assert len(set(phrases)) == len(phrases)
    faces = [draw_sticker(CoverAttributes(subject=subject, look=LOOK), seed=1) for subject in SUBJECTS]
    assert len({face.tobytes() for face in faces}) == len(SUBJECTS)
    for one in range(len(faces)):
        for other in range(one):
            assert np.abs(faces[one].astype(int) - faces[other].astype(int)).max() > 60


def test_a_sticker_is_cut_out_in_white_and_wears_its_look() -> None:
    attributes = CoverAttributes(subject="mountain", look=LOOK)
    sticker, cover = draw_sticker(attributes, seed=3), draw_cover(attributes, seed=3)
    assert (sticker == 255).all(axis=-1).mean() > 0.05 > (cover == 255).all(axis=-1).mean()
    np.testing.assert_array_equal(sticker[0], cover[0])  # the ground behind it is the cover's
    np.testing.assert_array_equal(sticker, draw_sticker(attributes, seed=3))
    assert draw_sticker(attributes, seed=3, size=128).shape == (128, 128, 3)


def test_the_world_of_stickers_differs_in_pictures_and_titles_alone(day: date) -> None:
    covers, stickers = shelf(SMALL, day), shelf(replace(SMALL, catalogue="stickers"), day)
    assert [item.item_id for item in stickers.items] == [item.item_id for item in covers.items]
    assert [item.attributes for item in stickers.items] == [item.attributes for item in covers.items]
    assert not {item.title for item in stickers.items} & {item.title for item in covers.items}
    for sticker in stickers.items[:5]:
        words = EMOTION_PHRASES[EMOTION_OF[sticker.attributes.subject]]
        assert any(phrase in sticker.title.lower() for phrase in words)
        assert not np.array_equal(sticker.draw(), covers.items[stickers.row_of[sticker.item_id]].draw())


def test_a_title_hangs_on_its_chance_alone() -> None:
    titles = [make_sticker_title("fish", "eerie", np.random.default_rng(seed)) for seed in range(20)]
    assert titles == [make_sticker_title("fish", "eerie", np.random.default_rng(seed)) for seed in range(20)]
    assert len(set(titles)) > 10


def test_an_unknown_catalogue_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"world.catalogue is 'films'; expected one of covers, stickers"):
        check_world(replace(SMALL, catalogue="films"))
