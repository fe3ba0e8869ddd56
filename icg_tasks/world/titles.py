"""Titles that imply a subject and a mood without naming a look: the words an item comes with.

Does not know pixels. A title never contains the name of a palette, layout, texture or density.
Run: ``make_title("rocket", "joyful", numpy.random.default_rng(1))``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

SUBJECT_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "mountain": (
        "mountain", "summit", "peak", "ridge", "alpine pass", "glacier", "base camp", "cliff wall",
        "high country", "snowy crest", "climbers", "north face", "mountaineer", "granite range",
    ),
    "rocket": (
        "rocket", "launch pad", "astronaut", "countdown", "spaceship", "liftoff", "capsule crew", "mission control",
        "orbit station", "booster", "space voyage", "shuttle", "cosmonaut", "flight to Mars",
    ),
    "tree": (
        "tree", "oak", "grove", "old willow", "orchard", "acorn", "cedar", "branches",
        "timber hills", "maple", "woodland path", "roots", "birch", "leafy crown",
    ),
    "house": (
        "house", "cottage", "family home", "front porch", "attic room", "chimney", "neighbours", "doorstep",
        "farmhouse", "hearth", "homecoming", "rooftop", "garden gate villa", "lodger",
    ),
    "fish": (
        "fish", "salmon", "trout stream", "angler", "aquarium", "koi pond", "minnow", "river carp",
        "fishermen", "goldfish", "tuna", "fins and scales", "pike", "fishing line",
    ),
    "cat": (
        "cat", "kitten", "whiskers", "tabby", "purring", "feline", "tomcat", "nine lives",
        "alley prowler", "paws", "mouser", "siamese", "meow", "cat burglar",
    ),
    "cup": (
        "cup", "tea house hour", "coffee", "espresso", "morning brew", "teapot", "barista", "cocoa",
        "porcelain mug", "latte", "breakfast table", "cafe corner", "kettle", "cappuccino",
    ),
    "heart": (
        "heart", "love letter", "romance", "sweetheart", "valentine", "first kiss", "lovers", "wedding vow",
        "heartbeat", "darling", "courtship", "true love", "beloved", "affair",
    ),
    "moon": (
        "moon", "crescent", "midnight", "lunar tide", "moonlight", "night sky", "eclipse", "lullaby night",
        "moonrise", "nocturne", "starry hour", "sleepwalker", "night watch", "new moon",
    ),
    "sailboat": (
        "sailboat", "regatta", "harbour", "schooner", "sailor", "voyage under sail", "yacht", "skipper",
        "anchor", "islands crossing", "helmsman", "trade wind", "lagoon cruise", "castaway",
    ),
    "key": (
        "key", "locksmith", "secret door", "padlock", "vault", "hidden chamber", "locked room", "keyhole",
        "skeleton key", "safe cracker", "treasure chest", "cipher lock", "gatekeeper", "latch",
    ),
    "flower": (
        "flower", "rose garden", "bouquet", "petals", "tulip", "blossom", "daisy chain", "florist",
        "meadow in bloom", "lily", "sunflower", "orchid", "wildflowers", "peony",
    ),
}
"""Words and phrases that imply a subject; no phrase belongs to two subjects."""

MOOD_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "calm": ("quiet", "gentle", "still", "peaceful", "slow", "restful", "serene", "hushed", "unhurried"),
    "joyful": ("merry", "happy", "dancing", "laughing", "bright-eyed", "festive", "cheerful", "jolly", "playful"),
    "eerie": ("haunted", "whispering", "cursed", "strange", "ghostly", "vanishing", "uncanny", "sinister", "restless"),
    "grand": ("mighty", "royal", "legendary", "epic", "great", "towering", "glorious", "fearless", "heroic"),
    "tender": ("little", "sweet", "dear", "soft", "loving", "kind", "fond", "cherished", "warm"),
    "lonely": ("lost", "forgotten", "solitary", "last", "abandoned", "wandering", "distant", "silent", "homesick"),
}
"""Adjectives of each mood; no word belongs to two moods."""

_TEMPLATES: Final = (
    "the {mood} {subject}",
    "a {mood} {subject}",
    "{mood} {subject}",
    "the {subject}, {mood} and {mood_too}",
    "tales of the {mood} {subject}",
    "my {mood} {subject}",
    "return to the {mood} {subject}",
    "one {mood} {subject}",
    "the secret of the {mood} {subject}",
    "before the {mood} {subject}",
    "{subject}: a {mood} story",
    "{name} and the {mood} {subject}",
    "how {name} found a {mood} {subject}",
    "{subject} for {name}",
    "the {subject} was {mood}",
    "in search of the {mood} {subject}",
)
_NAMES: Final = ("Mira", "Otto", "Lena", "Arun", "Ines", "Theo", "Zadie", "Kenji", "Rosa", "Emil", "Noor", "Ivo")


def make_title(subject: str, mood: str, rng: np.random.Generator) -> str:
    """A title in title case implying the subject and (most templates) the mood; raises KeyError on unknown names."""
    words = MOOD_WORDS[mood]
    first, second = rng.choice(len(words), size=2, replace=False).tolist()
    phrases = SUBJECT_PHRASES[subject]
    title = _TEMPLATES[int(rng.integers(len(_TEMPLATES)))].format(
        subject=phrases[int(rng.integers(len(phrases)))],
        mood=words[first],
        mood_too=words[second],
        name=_NAMES[int(rng.integers(len(_NAMES)))],
    )
    return " ".join(word[:1].upper() + word[1:] for word in title.split())
