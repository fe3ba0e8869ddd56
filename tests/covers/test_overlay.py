"""Titles on covers: inside the margins at every size, as large as they go, told where they cannot be."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icg_tasks.contracts.errors import SettingsError
from icg_tasks.covers.overlay import NO_GLYPHS, SAFE_MARGIN, SMALLEST_PIXELS, TOO_LONG, TitleOverlay


@pytest.fixture(scope="module")
def overlay() -> TitleOverlay:
    return TitleOverlay()


def white(side: int) -> np.ndarray:
    return np.full((side, side, 3), 40, dtype=np.uint8)


WORDS = st.lists(st.text("abcdefghijklmnoprstuvwyABCDEWXQjgpy", min_size=1, max_size=9), min_size=1, max_size=6).map(" ".join)


@settings(max_examples=40, deadline=None, database=None)
@given(title=WORDS, side=st.sampled_from([64, 96, 128, 256]))
def test_ink_stays_inside_the_safe_margins(title: str, side: int) -> None:
    drawn = TitleOverlay().draw(white(side), title)
    if isinstance(drawn, str):
        assert drawn == TOO_LONG
        return
    ink = np.argwhere((drawn > 150).all(axis=2))
    assert len(ink) > 0
    margin = round(SAFE_MARGIN * side)
    assert ink.min() >= margin
    assert ink.max() < side - margin
    assert drawn.shape == (side, side, 3)


def test_letters_are_as_large_as_the_words_allow(overlay: TitleOverlay) -> None:
    short, long = overlay.layout("Lake", 256, 256), overlay.layout("The Lake of the Long and Winding Titles", 256, 256)
    assert short.font.size > long.font.size >= SMALLEST_PIXELS
    assert len(short.lines) == 1 < len(long.lines)
    assert " ".join(long.lines) == "The Lake of the Long and Winding Titles", "nothing is cut"


def test_what_cannot_be_written_is_told(overlay: TitleOverlay) -> None:
    assert overlay.draw(white(64), "word " * 60) == TOO_LONG
    assert overlay.draw(white(64), "Unbreakablelongestwordever") == TOO_LONG
    assert overlay.draw(white(64), "湖") == NO_GLYPHS
    assert not isinstance(overlay.draw(white(64), "Don't, 1 & 2?"), str)


def test_letters_that_pillows_own_font_lacks_need_a_font_of_their_own(overlay: TitleOverlay) -> None:
    package = importlib.util.find_spec("great_expectations")
    if package is None or package.origin is None:
        pytest.skip("its package brings a font file")
    font = next(Path(package.origin).parent.rglob("HKGrotesk-Bold.otf"))
    assert overlay.draw(white(64), "Sjön é ü") == NO_GLYPHS
    assert not isinstance(TitleOverlay(str(font)).draw(white(64), "Sjön é ü"), str)


def test_a_font_that_is_none_is_a_setting_error(tmp_path) -> None:
    (tmp_path / "x.ttf").write_bytes(b"no font")
    with pytest.raises(SettingsError, match=r"covers\.title_font"):
        TitleOverlay(str(tmp_path / "x.ttf"))
    with pytest.raises(SettingsError, match=r"covers\.title_font"):
        TitleOverlay(str(tmp_path / "none.ttf"))
