"""Names of the stages, their arguments and the one line each prints when it closes.

A stage is a command: ``icg <stage> --run-date YYYY-MM-DD``. It reads data sets as of that date, replaces its own output
partition whole, prints progress on stderr and exactly one JSON line (a ``StageResult``) on stdout.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from icg_tasks.contracts.errors import SettingsError

VALIDATE_ITEMS = "validate-items"
VALIDATE_IMPRESSIONS = "validate-impressions"
EMBED_ITEMS = "embed-items"
BUILD_USER_EMBEDDINGS = "build-user-embeddings"
ASSIGN_SEGMENTS = "assign-segments"
TRAIN_PREFERENCE = "train-preference"
ADAPT_DENOISER = "adapt-denoiser"
TRAIN_ADAPTER = "train-adapter"
TRAIN_PIGEON = "train-pigeon"
PLAN_COVERS = "plan-covers"
GENERATE_COVERS = "generate-covers"
PUBLISH_COVERS = "publish-covers"
EVALUATE = "evaluate"
REPORT = "report"
# No part of the day.
ARRIVED = "arrived"
ERASE = "erase"
HOUSEKEEPING = "housekeeping"
COLLECT_COVERS = "collect-covers"

ICG, PIGEON = "icg", "pigeon"
TRAININGS = {ICG: (ADAPT_DENOISER, TRAIN_ADAPTER), PIGEON: (TRAIN_PIGEON,)}
"""Each generator's own stages, in order; everything around them is the same."""
_BEFORE = (
    VALIDATE_ITEMS,
    VALIDATE_IMPRESSIONS,
    EMBED_ITEMS,
    BUILD_USER_EMBEDDINGS,
    ASSIGN_SEGMENTS,
    TRAIN_PREFERENCE,
)
_BEHIND = (PLAN_COVERS, GENERATE_COVERS, PUBLISH_COVERS, EVALUATE, REPORT)
ALL_IN_ORDER = (*_BEFORE, *(stage for stages in TRAININGS.values() for stage in stages), *_BEHIND)


def generators_of(text: str) -> tuple[str, ...]:
    """The generators that a setting names: the first one's covers are what readers see, the others' lie beside as variants.

    Raises SettingsError where one is unknown or named twice.

    >>> generators_of("icg, pigeon")
    ('icg', 'pigeon')
    """
    found = tuple(name.strip() for name in text.split(","))
    if not set(found) <= set(TRAININGS) or len(set(found)) < len(found):
        raise SettingsError(f"generator={text!r}; expected one of {', '.join(TRAININGS)}, or several with commas between")
    return found


def trainings_of(text: str) -> tuple[str, ...]:
    """The trainings of all generators that a setting names, in order."""
    return tuple(stage for name in generators_of(text) for stage in TRAININGS[name])


def day_in_order(generator: str) -> tuple[str, ...]:
    """The stages of a day with these generators.

    >>> TRAIN_PIGEON in day_in_order("pigeon"), TRAIN_ADAPTER in day_in_order("pigeon")
    (True, False)
    """
    return (*_BEFORE, *trainings_of(generator), *_BEHIND)


DAY_IN_ORDER = day_in_order(ICG)


@dataclass(frozen=True, kw_only=True)
class StageOutcome:
    """What a stage did. ``outputs`` are store keys or prefixes; ``figures`` hold any JSON values worth a look."""

    outputs: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """A ``StageOutcome`` with its stage, run date and seconds: the closing JSON line."""

    stage: str
    run_date: str
    seconds: float
    outputs: list[str]
    counts: dict[str, int]
    figures: dict[str, Any]

    def to_json(self) -> str:
        """One line, keys in a fixed order; values that are not JSON (NaN, infinities) are an error."""
        return json.dumps(asdict(self), allow_nan=False, ensure_ascii=False)
