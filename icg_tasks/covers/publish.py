"""Stage publish-covers: collects what was made and what is kept, verifies every image, writes the manifest, moves current.json.

Nothing is visible before all of it is verified; what is amiss is named and yesterday's covers stay up. A back-filled past date
gets its manifest and leaves current.json alone. Of two publishers of one date one wins, and the other one says so.
Run: ``icg publish-covers --run-date YYYY-MM-DD``.
"""

from typing import Any

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import GateRefused
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.covers.commit import commit_day, look_before, put_up
from icg_tasks.covers.examine import examined
from icg_tasks.covers.forget import forget_erased
from icg_tasks.covers.gather import Collected, collect
from icg_tasks.covers.holds import place, publish_hold, release
from icg_tasks.stage import StageContext

Row = dict[str, Any]


def run(context: StageContext) -> StageOutcome:
    """Write covers/v1/manifests, covers/v1/indexes and features/covers of the run date; move current.json forward."""
    store, day = context.store, context.run_date
    before = look_before(store, day)
    collected = collect(context)
    _check_rejections(context, collected)
    hold = publish_hold(day, (row["blob"] for row in collected.rows))
    place(store, hold)  # from here on no collection takes any of it away
    collected = examined(context, collected)
    _check_rejections(context, collected)
    pointer = commit_day(context, collected, before)
    try:
        up = put_up(context, pointer)
    finally:
        release(store, hold)  # the manifest names it all
    forget_erased(context)
    published = len(collected.rows)
    context.say(
        f"{published} covers published for {day}; current.json " + ("names it" if up else "stays with a later date (back-fill)")
    )
    personalised = sum(row["segment_id"] != EVERYONE for row in collected.rows)
    counts = {"published": published, "personalised": personalised, "made": collected.made, "kept": published - collected.made}
    counts |= {"rejected": collected.rejected.total()}
    outputs = [keys.partition_prefix(name, day) for name in (keys.COVER_MANIFESTS, keys.COVER_FEATURES)]
    figures: dict[str, Any] = {"current": up, "rejected": dict(sorted(collected.rejected.items()))}
    figures |= {f"mean_{name}": _mean(collected.rows, name) for name in ("preference", "relevance", "aesthetic")}
    return StageOutcome(outputs=[*outputs, *([keys.COVERS_CURRENT] if up else [])], counts=counts, figures=figures)


def _check_rejections(context: StageContext, collected: Collected) -> None:
    total = collected.made + collected.rejected.total()
    limit = context.settings.covers.max_rejected_share
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(collected.rejected.items()))
    if total and collected.rejected.total() > limit * total:
        raise GateRefused(
            f"{collected.rejected.total()} of {total} covers made for {context.run_date} were rejected ({reasons}), more than "
            f"covers.max_rejected_share {limit}; nothing is published. Look at the last gates of the adapter and the denoiser"
        )
    if not collected.rows:
        raise GateRefused(f"no cover is left to publish for {context.run_date} ({reasons or 'nothing planned'})")


def _mean(rows: list[Row], name: str) -> float | None:
    values = [row[name] for row in rows if row[name] is not None and row["segment_id"] != EVERYONE]
    return round(sum(values) / len(values), 6) if values else None
