"""Which of a cover's candidates is kept, and whether even that one strays too far from its item. Pure functions of scores."""

from collections.abc import Sequence

from icg_tasks.config.settings import CoverSettings


def choose(preferences: Sequence[float], relevances: Sequence[float], *, slack: float) -> int:
    """Index of the most preferred candidate among those at most ``slack`` less relevant than the most relevant one.

    >>> choose([0.9, 0.5, 0.1], [0.1, 0.3, 0.3], slack=0.1)
    1
    """
    floor = max(relevances) - slack
    allowed = [number for number, relevance in enumerate(relevances) if relevance >= floor]
    return max(allowed, key=lambda number: preferences[number])


def relevance_fault(relevance: float, own: float, settings: CoverSettings) -> str | None:
    """Why a cover says too little about its item, given the relevance of the item's own cover; None = it says enough."""
    if relevance < settings.min_subject_relevance:
        return "irrelevant"
    return "less_relevant_than_own" if relevance < own - settings.max_relevance_loss * abs(own) else None
