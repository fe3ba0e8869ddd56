"""What a stage's end tells whoever watches: numbers of its closing line as gauges, refusals and disruptions as counters.

Through Airflow's own statistics, so StatsD or OpenTelemetry is Airflow's setting; without one nothing is sent.
Names: ``icg.<stage with underscores>.<name>``; infra/watch/alerts.yaml reads them as Prometheus sees them.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from airflow.sdk.observability import stats

# Figures one floor down that are worth a gauge; the rest (a size per segment, a row per arm) would be thousands.
_DEEPER = {
    "gain": ("mean", "low"),
    "own_less_swapped": ("mean",),
    "canaries": ("calibration_error", "calibration_noise", "dispersion"),
    "estimate": ("worker_hours", "left_out"),
}


def tell_end(line: Mapping[str, Any]) -> None:
    """A stage has ended well."""
    stage = _name(str(line["stage"]))
    for name, value in numbers(line):
        stats.gauge(f"icg.{stage}.{name}", value)


def tell_refused(stage: str) -> None:
    """A gate has refused; somebody should look."""
    stats.incr(f"icg.{_name(stage)}.refused")


def tell_disrupted(stage: str) -> None:
    """The cluster took a pod away."""
    stats.incr(f"icg.{_name(stage)}.disrupted")


def numbers(line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Numbers of a closing line: seconds, counts, figures, and the run date in days since 1970 as ``run_day``.

    ``canaries_moved`` is how many of a training's checks found a canary out of bounds.

    >>> line = {"run_date": "1970-01-03", "seconds": 2.5, "counts": {"rows": 3}, "figures": {"accepted": True, "a": []}}
    >>> list(numbers(line))
    [('seconds', 2.5), ('rows', 3.0), ('accepted', 1.0), ('run_day', 2.0)]
    >>> dict(numbers({"figures": {"gain": {"mean": 0.5, "high": 9}, "checks": [{"broken": []}, {"broken": ["saturation"]}]}}))
    {'gain_mean': 0.5, 'canaries_moved': 1.0}
    """
    figures = line.get("figures", {})
    given = {"seconds": line.get("seconds"), **line.get("counts", {}), **figures}
    for name, inner in _DEEPER.items():
        if isinstance(found := figures.get(name), Mapping):
            given |= {f"{name}_{word}": found.get(word) for word in inner}
    if "checks" in figures:
        given["canaries_moved"] = sum(bool(check.get("broken")) for check in figures["checks"])
    yield from ((_name(name), float(value)) for name, value in given.items() if isinstance(value, bool | int | float))
    if line.get("run_date"):
        yield "run_day", float(date.fromisoformat(str(line["run_date"])).toordinal() - date(1970, 1, 1).toordinal())


def _name(text: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in text).lower()
