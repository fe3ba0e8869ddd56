"""Names of the stages, their arguments and the one line each prints when it closes.

A stage is a command: ``icg <stage> --run-date YYYY-MM-DD``. It reads data sets as of that date, replaces its own output
partition whole, prints progress on stderr and exactly one JSON line (a ``StageResult``) on stdout.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

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

DAY_IN_ORDER = (
    VALIDATE_ITEMS,
    VALIDATE_IMPRESSIONS,
    EMBED_ITEMS,
    BUILD_USER_EMBEDDINGS,
    ASSIGN_SEGMENTS,
    TRAIN_PREFERENCE,
    ADAPT_DENOISER,
    TRAIN_ADAPTER,
    PLAN_COVERS,
    GENERATE_COVERS,
    PUBLISH_COVERS,
    EVALUATE,
    REPORT,
)


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
