"""What the report says in words: names of arms, the headline, and what may honestly be claimed about each source of data.

Knows figures and sources; no HTML, no files.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from icg_tasks.evaluation import arms as names

ARM_WORDS: Final[dict[str, str]] = {
    names.OWN: "item’s own cover",
    names.PLAIN: "unpersonalised",
    names.PLAIN_BEST: "unpersonalised, best of 8",
    names.PERSONAL: "personalised",
    names.PERSONAL_BEST: "personalised, best of 8",
    names.SWAPPED: "made for another segment",
    names.BEST: "best achievable",
} | {
    arm: words
    for name in names.RIVALS
    for arm, words in (
        (names.rival_plain(name), f"{name.replace('_', ' ')}, unpersonalised"),
        (name, name.replace("_", " ")),
        (names.rival_best(name), f"{name.replace('_', ' ')}, best of 8"),
    )
}
METRIC_WORDS: Final[dict[str, str]] = {
    names.PROBABILITY: "true click probability",
    names.LOGIT: "true click logit",
    names.SUBJECT: "subject recognised",
    names.RELEVANCE: "relevance",
    names.AESTHETIC: "aesthetic",
    names.PREFERENCE: "preference",
    names.HELD_OUT_LOGIT: "true click logit, held-out users",
    names.MS_SSIM: "likeness to own cover",
    names.TOWER_DISTANCE: "distance to own cover",
    names.NEAREST: "nearest catalogue cover",
    names.COPIES: "copies",
    names.FRECHET: "Fréchet distance",
    names.KERNEL: "kernel distance",
    names.DIVERSITY_USERS: "across segments",
    names.DIVERSITY_ITEMS: "across items",
    names.LOOKS: "distinct looks",
    names.STATISTICS[0]: "dark pixels",
    names.STATISTICS[1]: "edges",
    names.STATISTICS[2]: "saturation",
}
PERCENT: Final = (names.PROBABILITY, names.SUBJECT, names.COPIES, names.STATISTICS[0])
METRIC_MEANS: Final[dict[str, str]] = {
    names.MS_SSIM: "MS-SSIM: how much of the own cover’s structure is kept, over several scales; 1 is the own cover itself.",
    names.TOWER_DISTANCE: "How far it is from the own cover, place by place and layer by layer: 0 is the same, 4 the most.",
    names.NEAREST: "Cosine with the most similar cover of any other item; read it beside that of the items’ own covers.",
    names.COPIES: "Share of covers as near to another item’s cover as a slightly edited copy of it would be.",
    names.FRECHET: "How unlike the catalogue’s covers they are as a set, both taken for Gaussians; too high for few covers.",
    names.KERNEL: "The same by a kernel, which does not depend on how many covers there are; about 0 is alike.",
    names.DIVERSITY_USERS: "Mean distance of two segments’ covers of one item: 0 means that all see the same, 2 is the most.",
    names.DIVERSITY_ITEMS: "Mean distance of two items’ covers of one segment: near 0, every item would look the same.",
    names.LOOKS: "Segments whose covers can be told apart in three of four forced choices on items left out. For the best "
    "achievable cover it is the number of distinct tastes.",
    names.STATISTICS[0]: "Share of pixels that are nearly black; like the next two never trained on, so a jump is a warning.",
    names.STATISTICS[1]: "Mean change of light from one pixel to the next.",
    names.STATISTICS[2]: "Mean spread between a pixel’s strongest and weakest colour.",
}

_WORLD: Final = (
    "The readers and items behind this page are simulated, so the true click probability of any image is known. It is told by "
    "an oracle that looks at pixels and that no training ever saw. Nothing here is a promise about real readers."
)
_CLASSICS: Final = (
    "These are real readers, real ratings and real covers, but these readers never saw these covers: looks carry no signal "
    "here by construction, and a ranking by colour alone is at chance. What the preference model learns is taste in books. "
    "Read the covers below as the pipeline at work, not as evidence that anybody prefers them."
)
_PLATFORM: Final = (
    "The data come from a platform, so nobody knows the true click probability of a cover that was not shown. The figures are "
    "the models’ own opinions; a claim of uplift needs an online test."
)
SOURCE_WORDS: Final[dict[str, str]] = {"world": _WORLD, "classics": _CLASSICS}

Rows = Sequence[Mapping[str, Any]]


def source_words(source: str) -> str:
    """What may be claimed about data of this source."""
    return SOURCE_WORDS.get(source, _PLATFORM)


def said_date(day: date) -> str:
    """A date as people say it.

    >>> said_date(date(2026, 3, 1))
    '1 March 2026'
    """
    return f"{day.day} {day:%B %Y}"


def signed(value: float, digits: int) -> str:
    """A number with a minus sign that is as wide as a digit, and none before zero.

    >>> signed(-0.256, 2), signed(-0.001, 2)
    ('−0.26', '0.00')
    """
    return f"{value:.{digits}f}".replace("-", "−") if round(value, digits) else f"{0:.{digits}f}"


def find_row(rows: Rows, arm: str, metric: str, against: str | None = None) -> Mapping[str, Any] | None:
    """The table's (or, with ``against``, the gains') row of an arm and metric."""
    for row in rows:
        if row["arm"] == arm and row["metric"] == metric and row.get("against") == against:
            return row
    return None


def headline(rows: Rows) -> str:
    """The day in one sentence; claims no more than the intervals allow.

    >>> headline([])
    'What the day made, for whom, and how good it is.'
    """
    own, mine = (find_row(rows, arm, names.PROBABILITY) for arm in (names.OWN, names.PERSONAL))
    if own is None or mine is None:
        own, mine = (find_row(rows, arm, names.PREFERENCE) for arm in (names.OWN, names.PERSONAL))
        if own is None or mine is None:
            return "What the day made, for whom, and how good it is."
        way = "scores higher" if mine["low"] > own["high"] else "does not score clearly higher"
        return f"By the preference model’s opinion a personalised cover {way} than an item’s own; nobody asked the readers."
    figures = f"{100 * mine['mean']:.1f} % of the time, an item’s own cover {100 * own['mean']:.1f} %"
    if mine["low"] > own["high"]:
        return f"A cover made for its segment is clicked {figures}."
    if mine["high"] < own["low"]:
        return f"A cover made for its segment does worse than the item’s own today: it is clicked {figures}."
    return f"Personalised covers are not clearly better than items’ own today: they are clicked {figures}."
