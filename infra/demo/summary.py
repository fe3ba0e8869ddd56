"""The end of the demo: stages with seconds, rows and figures; the uplift table; where everything lies. Reads the store only."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from icg_tasks.contracts.partitions import COVERS_CURRENT, REPORTS, STAGE_RUNS
from icg_tasks.contracts.stages import ALL_IN_ORDER, GENERATE_COVERS
from icg_tasks.lake.store import ObjectStore

ARMS = (
    "own_cover",
    "unpersonalised",
    "unpersonalised_best_of_8",
    "personalised",
    "personalised_best_of_8",
    "swapped",
    "best_achievable",
)
_METRICS = ("true_click_probability", "true_click_logit", "subject_recognised", "preference")
_CLASSICS_METRICS = ("preference", "relevance", "aesthetic")
_SHORT = {
    "true_click_probability": "p(click)",
    "true_click_logit": "click logit",
    "subject_recognised": "subject",
    "preference": "preference",
}
_WIDE = 128
"""Columns from which the whole intervals have room; below it stands half their width."""
TOLD: dict[str, tuple[str, ...]] = {
    "simulate": ("counts.days", "counts.impressions", "figures.last_day.click_rate"),
    "ingest": ("counts.impressions", "counts.items"),
    "validate-items": ("counts.clean_rows", "counts.quarantined_rows", "figures.expectations.passed"),
    "validate-impressions": ("counts.clean_rows", "counts.quarantined_rows", "counts.caught_up_days", "figures.click_rate"),
    "embed-items": ("counts.rows", "counts.embedded", "counts.reused", "figures.max_abs_difference"),
    "build-user-embeddings": ("counts.users", "counts.days_computed", "figures.impressions"),
    "assign-segments": ("counts.users_in_segments", "counts.segments", "counts.kept_names", "figures.max_drift"),
    "train-preference": ("counts.train_rows", "figures.figures.model.auc", "figures.best_baseline", "figures.accepted"),
    "adapt-denoiser": ("figures.accepted", "figures.champion"),
    "train-adapter": ("counts.items_learned", "figures.steps", "figures.gain", "figures.accepted"),
    "train-pigeon": ("counts.windows_learned", "counts.pairs", "figures.steps", "figures.own_less_swapped", "figures.accepted"),
    "plan-covers": ("counts.planned", "counts.new", "counts.kept", "counts.shards"),
    "generate-covers": ("counts.covers", "counts.made", "counts.saved_before", "counts.rejected"),
    "publish-covers": ("counts.published", "counts.personalised", "counts.rejected", "figures.current"),
    "evaluate": ("counts.pairs", "counts.items", "counts.images"),
    "report": ("counts.pictures", "counts.missing_parts"),
}
"""What a reader of the demo wants to know of a stage; the closing line has the rest."""


def stage_lines(store: ObjectStore, run_date: date) -> dict[str, list[dict[str, Any]]]:
    """Closing lines of the day's stages; a mapped stage has one per shard."""
    found: dict[str, list[dict[str, Any]]] = {}
    for key in store.list(f"{STAGE_RUNS}/ds={run_date.isoformat()}/"):
        if key.endswith(".json"):
            line = json.loads(store.get(key))
            if "stage" in line and "seconds" in line:
                found.setdefault(str(line["stage"]), []).append(line)
    return found


def stage_table(lines: Mapping[str, list[dict[str, Any]]], reused: set[str]) -> Table:
    """One row per stage in the order of the day; counts of shards are summed."""
    table = Table(title="Stages", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("stage", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("rows and figures")
    for stage in ALL_IN_ORDER:
        runs = lines.get(stage, [])
        if runs:
            seconds = f"{sum(float(run['seconds']) for run in runs):.1f}"
            name = f"{stage} x{len(runs)}" if stage == GENERATE_COVERS and len(runs) > 1 else stage
            table.add_row(name, "reused" if stage in reused else seconds, _told(stage, runs))
    return table


def uplift_table(store: ObjectStore, run_date: date, width: int = _WIDE) -> tuple[str, Table] | None:
    """Title, and arms by metrics with 95 % intervals; None without an evaluation. ``width``: columns of the terminal."""
    key = f"{REPORTS}/ds={run_date.isoformat()}/evaluation.json"
    found = store.get_with_etag(key)
    if found is None:
        return None
    rows = json.loads(found[0])
    by_arm = {(row["arm"], row["metric"]): row for row in rows}
    present = {row["metric"] for row in rows}
    metrics = [metric for metric in _METRICS if metric in present] or [m for m in _CLASSICS_METRICS if m in present]
    measured = (
        "measured by the world's oracle"
        if "true_click_logit" in present
        else "no truth about looks in this data: estimates only"
    )
    metrics = metrics if width >= _WIDE else metrics[:3]
    pairs = max(int(row["n"]) for row in rows)
    shape = "[95 % interval]" if width >= _WIDE else "± half its 95 % interval"
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("arm", no_wrap=True)
    for metric in metrics:
        table.add_column(_SHORT.get(metric, metric), justify="right", no_wrap=True)
    for arm in [*ARMS, *sorted({row["arm"] for row in rows} - set(ARMS))]:
        cells = [by_arm.get((arm, metric)) for metric in metrics]
        if any(cells):
            table.add_row(arm, *[_interval(cell, whole=width >= _WIDE) for cell in cells])
    return f"Uplift: {measured}; mean {shape}, over {pairs} pairs", table


def print_summary(console: Console, store: ObjectStore, run_date: date, reused: set[str]) -> None:
    """Both tables and where to look."""
    console.print(stage_table(stage_lines(store, run_date), reused))
    uplift = uplift_table(store, run_date, console.width)
    if uplift is None:
        console.print("[yellow]this day has no reports/…/evaluation.json[/]")
    else:
        console.print(uplift[0], markup=False, soft_wrap=True)
        console.print(uplift[1])
    current = store.get_with_etag(COVERS_CURRENT)
    if current is not None:
        console.print(f"covers      {store.address('covers/v1')}", soft_wrap=True)
        console.print(f"            up now: the covers of {json.loads(current[0])['ds']}", soft_wrap=True)
    for key in store.list(f"{REPORTS}/ds={run_date.isoformat()}/"):
        if key.endswith("index.html"):
            console.print(f"report page {store.address(key)}", soft_wrap=True)


def _interval(cell: dict[str, Any] | None, *, whole: bool) -> str:
    if cell is None:
        return ""
    if whole:
        return f"{cell['mean']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]"
    return f"{cell['mean']:.3f}±{(cell['high'] - cell['low']) / 2:.3f}"


def _told(stage: str, runs: list[dict[str, Any]]) -> str:
    """What is worth telling of a stage; a path that its closing line does not have is left out."""
    parts = []
    for path in TOLD.get(stage, ()):
        first, *rest = path.split(".")
        found = [_at(run[first], rest) for run in runs]
        value = sum(found) if first == "counts" and None not in found else found[-1]
        if value is not None:
            name = rest[-1].replace("_", " ")
            parts.append(f"{name} {_short(value)}")
    return ", ".join(parts)


def _at(node: Any, path: list[str]) -> Any:
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
