"""Publishes what a training made and says who serves from its date on: the challenger, else who served before.

Knows the registry; nothing of what was trained.
"""

from collections.abc import Mapping
from typing import Any

from icg_tasks.lake.registry import ModelVersion, publish_version, set_champion
from icg_tasks.models.training.decision import Decision
from icg_tasks.stage import StageContext


def publish_challenger(
    context: StageContext,
    kind: str,
    files: Mapping[str, bytes],
    card: Mapping[str, Any],
    decision: Decision,
    former: ModelVersion | None,
) -> tuple[ModelVersion, ModelVersion | None]:
    """The new version, and the champion from the run date on; None where it was refused and nobody served before."""
    body = {"run_date": context.run_date.isoformat(), **decision.to_json(), **card}
    challenger = publish_version(context.store, kind, dict(files), body)
    context.say(f"{'accepted' if decision.accepted else 'kept what served before'}: {decision.reason}")
    if decision.accepted:
        set_champion(context.store, challenger, context.run_date, reason=decision.reason)
        return challenger, challenger
    if former is not None:
        set_champion(context.store, former, context.run_date, reason=f"kept: {decision.reason}")
    return challenger, former
