"""Stage train-preference: would this user click this cover? Learned from a window of days, judged on users it never saw.

Reads clean/impressions, features/items, features/covers, features/user_days; publishes a version of ``preference`` and moves
its champion through a gate. Healthy: AUC above every baseline with the interval of the difference above zero, calibration
error below 0.02. Run: ``icg train-preference --run-date YYYY-MM-DD``.
"""

from dataclasses import asdict
from typing import Any

import numpy as np

from icg_tasks.contracts.errors import GateRefused
from icg_tasks.contracts.partitions import IMPRESSIONS, ITEM_FEATURES, USER_DAYS, USERS
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.lake.partitions import find_partition
from icg_tasks.lake.registry import ModelVersion, champion_as_of, fetch_version, publish_version, set_champion
from icg_tasks.models.preference.contest import Contest, Verdict, champion_prediction
from icg_tasks.models.preference.gate import Decision, decide
from icg_tasks.models.preference.model import KIND, ONNX, PreferenceModel
from icg_tasks.models.preference.onnx_export import check_parity, export_onnx
from icg_tasks.models.preference.samples import Split, read_split
from icg_tasks.stage import StageContext

_PARITY_ROWS = 256


def run(context: StageContext) -> StageOutcome:
    """Train, judge, export, publish, decide. Raises GateRefused where neither challenger nor an earlier champion can serve."""
    split = read_split(context)
    context.say(f"{split.counts['train_rows']} rows to learn from, {split.counts['test_rows']} to judge on")
    contest = Contest(context, split)
    champion = champion_as_of(context.store, KIND, context.run_date, strictly_before=True)
    rival = _comparable(context, champion, split)
    verdict = contest.verdict(champion_prediction(rival, split) if rival else None)
    decision = decide(
        verdict.auc, verdict.baseline_aucs, verdict.difference_to_champion, verdict.canaries, context.settings.preference
    )
    files = contest.model.files()
    files[ONNX], parity = _exported(contest.model, split)
    card = _card(context, split, verdict, parity)
    version = publish_version(context.store, KIND, files, card)
    _move(context, version, champion if rival else None, decision)
    context.say(f"{'accepted' if decision.accepted else 'kept the champion'}: {decision.reason}")
    figures = {"accepted": decision.accepted, "reason": decision.reason, "version": version.version} | verdict.figures
    figures["champion"] = version.version if decision.accepted or champion is None else champion.version
    return StageOutcome(outputs=[version.prefix], counts=split.counts, figures=figures)


def _comparable(context: StageContext, champion: ModelVersion | None, split: Split) -> PreferenceModel | None:
    """The champion, if it takes the vectors of today's encoder."""
    if champion is None:
        return None
    model = PreferenceModel.load(fetch_version(context.store, champion, context.scratch("champion")))
    if model.encoder != split.encoder or 2 * model.width != split.test.covers_NV.shape[1]:
        context.say(f"champion {champion.version} takes vectors of encoder {model.encoder}, today's are of {split.encoder}")
        return None
    return model


def _exported(model: PreferenceModel, split: Split) -> tuple[bytes, float]:
    exported = export_onnx(model)
    rows = np.linspace(0, len(split.test) - 1, _PARITY_ROWS).astype(np.int64)
    users, covers = split.test.users_UV[split.test.user_R[rows]], split.test.covers_NV[split.test.cover_R[rows]]
    return exported, check_parity(exported, model, users, covers)


def _card(context: StageContext, split: Split, verdict: Verdict, parity: float) -> dict[str, Any]:
    return {
        "run_date": context.run_date.isoformat(),
        "metrics": verdict.figures,
        "calibration": verdict.calibration,
        "counts": split.counts,
        "encoder": split.encoder,
        "onnx_parity": parity,
        "settings": asdict(context.settings.preference),
        "lineage": _lineage(context, split),
    }


def _lineage(context: StageContext, split: Split) -> list[dict[str, Any]]:
    """The partitions that were read, with the hashes of their files."""
    wanted = [(dataset, day) for dataset in (IMPRESSIONS, USER_DAYS, ITEM_FEATURES) for day in split.days]
    wanted.append((USERS, context.run_date))
    found = [find_partition(context.store, dataset, day) for dataset, day in wanted]
    return [
        {
            "dataset": part.dataset,
            "ds": part.run_date.isoformat(),
            "rows": part.rows,
            "files": [file.sha256 for file in part.files],
        }
        for part in found
        if part is not None
    ]


def _move(context: StageContext, version: ModelVersion, champion: ModelVersion | None, decision: Decision) -> None:
    """Record who serves from the run date on; an earlier decision of the same date is overwritten."""
    if decision.accepted:
        set_champion(context.store, version, context.run_date, reason=decision.reason)
    elif champion is not None:
        set_champion(context.store, champion, context.run_date, reason=f"kept: {decision.reason}")
    else:
        raise GateRefused(
            f"preference model {version.version} was refused and no earlier champion can serve: {decision.reason}; look at its "
            f"card below {version.prefix}, check the day's features and clicks, or give it more days (preference.train_days)"
        )
