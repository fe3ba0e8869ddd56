from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from icg_tasks.config.settings import Settings, WorldSettings
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.world.items import shelf
from icg_tasks.world.titles import MOOD_WORDS


def test_full_size_catalogue_shows_as_many_as_asked_and_renews_itself(day: date) -> None:
    today, tomorrow = shelf(WorldSettings(), day), shelf(WorldSettings(), day + timedelta(days=1))
    assert today.num_shown == 640
    assert len(today.items) == 640 + 21 * 4
    new = set(tomorrow.row_of) - set(today.row_of)
    assert len(new) == 4
    assert {item.updated_on for item in tomorrow.items if item.item_id in new} == {day + timedelta(days=1)}


def test_an_item_is_the_same_on_every_day_but_for_a_revised_title(settings: Settings, day: date) -> None:
    before = {item.item_id: item for item in shelf(settings.world, day).items}
    revised = 0
    for item in shelf(settings.world, day + timedelta(days=20)).items:
        if item.item_id in before:
            old = before[item.item_id]
            revised += old.title != item.title
            assert replace(item, title="", updated_on=day) == replace(old, title="", updated_on=day)
            assert (old.title != item.title) <= (item.updated_on > day)
    assert revised > 0


def test_one_hot_features_say_what_was_drawn(settings: Settings, day: date) -> None:
    catalogue = shelf(settings.world, day)
    np.testing.assert_array_equal(catalogue.features_IF.sum(axis=1), 5.0)
    np.testing.assert_array_equal(catalogue.features_IF[:, :12].argmax(axis=1), catalogue.subject_I)


def test_titles_carry_no_look(settings: Settings, day: date) -> None:
    looks = {"sunset", "ocean", "neon", "pastel", "mono", "sepia", "ruby", "stripes", "dots", "checks", "sparse", "dense"}
    titles = [item.title.lower() for item in shelf(settings.world, day).items]
    assert len(titles) >= 40
    assert not [title for title in titles if looks & set(title.split())]
    assert sum(any(word in title for words in MOOD_WORDS.values() for word in words) for title in titles) > len(titles) / 2


def test_a_date_before_the_world_is_explained(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="begins on 2000-01-01"):
        shelf(settings.world, date(1999, 12, 31))
