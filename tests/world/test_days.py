from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from icg_tasks.config.settings import WorldSettings
from icg_tasks.world.attributes import SUBJECTS
from icg_tasks.world.clicks import look_logit, topic_logit
from icg_tasks.world.days import Cast, CoversUp, cast_of, live
from icg_tasks.world.positions import SURFACES


@pytest.fixture(scope="module")
def world() -> WorldSettings:
    return WorldSettings(num_users=2000, num_items=200, impressions_per_day=40_000)


@pytest.fixture(scope="module")
def cast(world: WorldSettings) -> Cast:
    return cast_of(world, date(2026, 3, 10))


def test_click_rate_and_effects_are_as_promised_for_any_seed() -> None:
    for seed in (3, 11):
        chosen = WorldSettings(seed=seed, num_users=2000, num_items=640, impressions_per_day=40_000)
        made = cast_of(chosen, date(2026, 3, 10))
        shown = live(chosen, date(2026, 3, 10), made)
        assert 0.11 < shown.clicked_N.mean() < 0.17
        look = look_logit(made.readers, made.shelf, shown.user_N, shown.item_N, made.shelf.features_IF[shown.item_N])
        assert 0.85 < look.std() < 1.1
        assert 0.75 < topic_logit(made.readers, made.shelf, shown.user_N, shown.item_N).std() < 1.2


def test_position_bias_is_visible_on_every_surface(world: WorldSettings, cast: Cast) -> None:
    shown = live(world, date(2026, 3, 10), cast)
    for surface in range(len(SURFACES)):
        rows = shown.surface_N == surface
        first = shown.clicked_N[rows & (shown.position_N == 0)].mean()
        last = shown.clicked_N[rows & (shown.position_N >= 7)].mean()
        assert first > 1.15 * last


def test_a_page_holds_ten_different_items_that_are_still_shown(world: WorldSettings, cast: Cast) -> None:
    shown = live(world, date(2026, 3, 10), cast)
    pages = shown.item_N.reshape(-1, 10)
    assert all(len(set(page)) == 10 for page in pages.tolist())
    assert shown.item_N.min() >= len(cast.shelf.items) - world.num_items
    assert (np.diff(shown.millisecond_N[::10]) >= 0).all()


def test_home_pages_lean_towards_what_the_user_likes(world: WorldSettings, cast: Cast) -> None:
    shown = live(world, date(2026, 3, 10), cast)
    home = shown.surface_N == 0
    liked = cast.readers.topic_US[shown.user_N[home], cast.shelf.subject_I[shown.item_N[home]]]
    assert liked.mean() > 0.2
    assert len(np.unique(cast.shelf.subject_I[shown.item_N[home]])) == len(SUBJECTS)


def test_the_same_day_twice_is_the_same_day(world: WorldSettings, cast: Cast) -> None:
    once, again = live(world, date(2026, 3, 10), cast), live(world, date(2026, 3, 10), cast)
    np.testing.assert_array_equal(once.clicked_N, again.clicked_N)
    other = live(replace(world, seed=8), date(2026, 3, 10), cast_of(replace(world, seed=8), date(2026, 3, 10)))
    assert len(other) != len(once) or (other.user_N != once.user_N).any()


def test_published_covers_are_shown_with_their_true_propensity_and_move_clicks(world: WorldSettings, cast: Cast) -> None:
    loved = np.zeros((1, 30), dtype=np.float32)
    loved[0, :12] = 1.0  # recognised whatever the item
    people = replace(cast.readers, look_UL=np.abs(cast.readers.look_UL) * 0 + 1.0)
    loved[0, [12, 20, 24, 28]] = 1.0
    up = CoversUp(
        cover_ids=["cover"],
        features_CF=loved,
        segment_U=np.zeros(len(people), dtype=np.int64),
        row_GIV=np.where(np.arange(len(cast.shelf.items))[None, :, None] % 2 == 0, 0, -1) + np.zeros((2, 1, 1), dtype=np.int64),
    )
    shown = live(world, date(2026, 3, 10), Cast(readers=people, shelf=cast.shelf, covers=up))
    with_cover = shown.item_N % 2 == 0
    assert (shown.cover_N[~with_cover] == -1).all()
    assert (shown.propensity_N[~with_cover] == 1.0).all()
    assert (shown.propensity_N[with_cover] == 0.5).all()
    assert (shown.cover_N[with_cover] == 0).mean() == pytest.approx(0.5, abs=0.02)
