import xml.etree.ElementTree as ET

import numpy as np
import pytest

from icg_tasks.features.segment_names import Item, SegmentName, look_of, name_segments

RNG = np.random.default_rng(0)


def item(colour, category="", title="Something", noise=0):
    pixels = np.broadcast_to(np.array(colour), (16, 16, 3)) + RNG.integers(-noise, noise + 1, size=(16, 16, 1))
    return Item(title=title, category=category, pixels=np.clip(pixels, 0, 255).astype(np.uint8))


CATALOGUE = [
    item(RNG.integers(256, size=3), ["romance", "mystery", "family"][number % 3], f"Title {number}", noise=number % 90)
    for number in range(90)
]


@pytest.mark.parametrize(
    ("colour", "word", "other"),
    [
        ((10, 10, 12), "dark", "light"),
        ((250, 245, 240), "light", "dark"),
        ((230, 60, 10), "warm", "cool"),
        ((5, 40, 240), "cool", "warm"),
    ],
)
def test_looks_are_told_in_plain_words(colour, word, other):
    name = name_segments({"s1": [item(colour) for _ in range(5)]}, CATALOGUE)["s1"]
    assert word in name.looks
    assert other not in name.looks
    assert len(name.looks) <= 2


def test_busy_covers_are_busy():
    assert look_of(item((128, 128, 128), noise=100).pixels)[3] > 3 * look_of(item((128, 128, 128), noise=5).pixels)[3]


def test_topics_are_what_the_history_has_more_of_than_the_catalogue():
    history = [item((90, 90, 90), "mystery", f"The Castaway {number}") for number in range(3)]
    history.append(item((90, 90, 90), "romance", "Other"))
    name = name_segments({"s1": history}, CATALOGUE)["s1"]
    assert name.topics == ["mystery", "“castaway”"]
    assert name.text.endswith("· mystery, “castaway”") or name.text == "Mystery, “castaway”"


def test_ordinary_and_empty_histories_are_mixed_tastes():
    names = name_segments({"s1": CATALOGUE[::2], "s2": []}, CATALOGUE)
    assert names["s1"].text == names["s2"].text == "Mixed tastes"
    assert name_segments({"s1": []}, [])["s1"].text == "Mixed tastes"


def test_icons_are_well_formed_and_escape_what_comes_from_outside():
    history = [item((200, 30, 30), "<script>", "<b>bold</b> tastes") for _ in range(4)]
    name = name_segments({"s1": history}, CATALOGUE)["s1"]
    root = ET.fromstring(name.icon)
    text = root.find("text")
    assert text is not None
    assert text.text == "<"
    assert "#c81e1e" in name.icon


def test_names_do_not_depend_on_the_order_of_segments():
    histories = {"s1": [item((10, 10, 10), "family")] * 3, "s2": [item((240, 20, 20), "romance")] * 3}
    backwards = dict(reversed(histories.items()))
    assert name_segments(histories, CATALOGUE) == name_segments(backwards, CATALOGUE)
    assert isinstance(name_segments(histories, CATALOGUE)["s1"], SegmentName)


def test_alike_segments_get_more_words():
    base = [item((10, 10, 12), "family", "The Lantern") for _ in range(3)]
    names = name_segments(
        {"s1": base, "s2": [*base, item((10, 10, 12), "family", "Harbour harbour"), item((9, 9, 9), "", "Harbour")]}, CATALOGUE
    )
    assert names["s1"].text != names["s2"].text
    assert "“harbour”" in names["s2"].topics
