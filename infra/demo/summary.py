"""The end of the demo: stages with seconds, rows and figures; the uplift table; where everything lies. Reads the store only."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from rich.console import Console
from rich.table import Table

from icg_tasks.contracts.partitions import COVERS_CURRENT, REPORTS, STAGE_RUNS
from icg_tasks.contracts.stages import DAY_IN_ORDER, GENERATE_COVERS
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
_MAX_FIGURES = 4


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
    """One row per stage in the order of the day."""
    table = Table(title="Stages", title_justify="left")
    table.add_column("stage", no_wrap=True)
    table.add_column("seconds", justify="right")
    table.add_column("rows and counts")
    table.add_column("figures")
    for stage in DAY_IN_ORDER:
        runs = lines.get(stage, [])
        if not runs:
            continue
        counts: dict[str, int] = {}
        for run in runs:
            for name, value in run["counts"].items():
                counts[name] = counts.get(name, 0) + int(value)
        seconds = f"{sum(float(run['seconds']) for run in runs):.1f}" + (" reused" if stage in reused else "")
        name = f"{stage} x{len(runs)}" if stage == GENERATE_COVERS and len(runs) > 1 else stage
        table.add_row(name, seconds, _listed(counts), _listed(_plain(runs[-1]["figures"])))
    return table


def uplift_table(store: ObjectStore, run_date: date) -> Table | None:
    """Arms by metrics with 95 % intervals; None where the day has no evaluation."""
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
    table = Table(title=f"Uplift ({measured}; mean [95 % interval])", title_justify="left")
    table.add_column("arm", no_wrap=True)
    for metric in metrics:
        table.add_column(metric.replace("_", " "), justify="right")
    table.add_column("pairs", justify="right")
    for arm in [*ARMS, *sorted({row["arm"] for row in rows} - set(ARMS))]:
        cells = [by_arm.get((arm, metric)) for metric in metrics]
        shown = [cell for cell in cells if cell is not None]
        if shown:
            table.add_row(arm, *[_interval(cell) for cell in cells], str(max(int(cell["n"]) for cell in shown)))
    return table


def print_summary(console: Console, store: ObjectStore, run_date: date, reused: set[str]) -> None:
    """Both tables and where to look."""
    console.print(stage_table(stage_lines(store, run_date), reused))
    uplift = uplift_table(store, run_date)
    console.print(uplift if uplift is not None else "[yellow]this day has no reports/…/evaluation.json[/]")
    current = store.get_with_etag(COVERS_CURRENT)
    if current is not None:
        console.print(f"covers      {store.address('covers/v1')}", soft_wrap=True)
        console.print(f"            up now: the covers of {json.loads(current[0])['ds']}", soft_wrap=True)
    for key in store.list(f"{REPORTS}/ds={run_date.isoformat()}/"):
        if key.endswith("index.html"):
            console.print(f"report page {store.address(key)}", soft_wrap=True)


def _interval(cell: dict[str, Any] | None) -> str:
    return "" if cell is None else f"{cell['mean']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items())


def _plain(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The first few figures that fit a table cell."""
    fitting = {
        name: value for name, value in figures.items() if isinstance(value, bool | int | float | str) and len(str(value)) < 40
    }
    return dict(list(fitting.items())[:_MAX_FIGURES])


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
