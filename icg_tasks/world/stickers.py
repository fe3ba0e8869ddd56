"""The second catalogue: stickers of emotions, with the words that go with them. Chosen by ``world.catalogue=stickers``.

A sticker wears the same looks as a cover; where a cover has its emblem there is a face. Emotion n stands where subject n stood,
so tastes, clicks and the order of chance are those of the world of covers. No model of the tiny stack was shown a sticker, nor
was the oracle's eye: true values of generated ones are unknown, and evaluation leaves them out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from icg_tasks.world.attributes import SUBJECTS, CoverAttributes
from icg_tasks.world.drawing import draw_with
from icg_tasks.world.emotions import DRAW_EMOTION, EMOTIONS

EMOTION_OF: Final[dict[str, str]] = dict(zip(SUBJECTS, EMOTIONS, strict=True))
EMOTION_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "joy": ("so happy", "best day ever", "laughing out loud", "over the moon", "hooray", "cheering", "good news", "yippee"),
    "sadness": ("so sad", "crying", "teardrops", "heartbroken", "feeling blue", "sob", "miserable", "in tears"),
    "anger": ("so angry", "furious", "losing my temper", "fuming", "grumpy", "mad as a hornet", "had enough", "grr"),
    "fear": ("so scared", "terrified", "panicking", "trembling", "spooked", "afraid of the dark", "eek", "nervous"),
    "surprise": ("so surprised", "no way", "astonished", "did not expect this", "wow", "plot twist", "speechless", "gasp"),
    "disgust": ("so gross", "yuck", "eww", "disgusted", "not eating that", "smells bad", "nasty", "revolting"),
    "love": ("in love", "kisses", "adore you", "smitten", "sweetheart", "hugs", "crush", "forever yours"),
    "pride": ("so proud", "like a boss", "champion", "nailed it", "victorious", "crowned", "winner", "unbeatable"),
    "sleepiness": ("so sleepy", "yawning", "nap time", "good night", "five more minutes", "dozing off", "exhausted", "zzz"),
    "confusion": ("so confused", "what is going on", "puzzled", "scratching my head", "huh", "lost the thread", "baffled"),
    "calm": ("so calm", "breathe in", "at peace", "zen", "taking it easy", "all is well", "mellow", "no worries"),
    "boredom": ("so bored", "meh", "waiting forever", "nothing to do", "whatever", "same old", "dull", "is it over yet"),
}
"""Phrases that imply an emotion; none belongs to two."""
_MOODS: Final[dict[str, tuple[str, ...]]] = {
    "calm": ("quietly", "gently", "softly"),
    "joyful": ("merrily", "cheerfully", "playfully"),
    "eerie": ("strangely", "secretly", "oddly"),
    "grand": ("gloriously", "royally", "hugely"),
    "tender": ("sweetly", "fondly", "dearly"),
    "lonely": ("all alone", "silently", "far from home"),
}
_TEMPLATES: Final = ("{phrase}", "{phrase}, {mood}", "me: {phrase}", "{phrase} again", "monday mood: {phrase}", "{phrase}!")


def draw_sticker(attributes: CoverAttributes, seed: int, size: int = 64) -> NDArray[np.uint8]:
    """The sticker's pixels, uint8 (size, size, 3); raises ValueError as ``draw_cover`` does."""
    return draw_with(DRAW_EMOTION[EMOTION_OF[attributes.subject]], attributes, seed, size)


def make_sticker_title(subject: str, mood: str, rng: np.random.Generator) -> str:
    """What somebody would type to find the sticker; raises KeyError on unknown names.

    >>> make_sticker_title("mountain", "calm", np.random.default_rng(3))
    'Monday mood: so happy'
    """
    phrases, moods = EMOTION_PHRASES[EMOTION_OF[subject]], _MOODS[mood]
    title = _TEMPLATES[int(rng.integers(len(_TEMPLATES)))].format(
        phrase=phrases[int(rng.integers(len(phrases)))], mood=moods[int(rng.integers(len(moods)))]
    )
    return title[:1].upper() + title[1:]
