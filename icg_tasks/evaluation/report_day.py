"""The report's sections about the day itself: what the models learned, stages, data quality, what is missing.

Each function takes what was gathered and returns HTML, or an empty text where there is nothing to show.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from icg_tasks.evaluation.report_curves import training_panels
from icg_tasks.evaluation.report_data import DayView
from icg_tasks.evaluation.report_frame import scrolled, section
from icg_tasks.evaluation.report_plots import Dot, bar, calibration_plot, interval_plot

_FIGURES_SHOWN = 6


def learning(view: DayView) -> str:
    """The preference model against its baselines, calibration, and how the adapter's rewards went over its training."""
    curves = training_panels(view.adapter, "Adapter") + training_panels(view.denoiser, "Denoiser, adapted to the catalogue")
    judged, calibration = _auc(view.preference), _calibration(view.preference)
    if not (curves or judged or calibration):
        return ""
    parts = []
    if judged or calibration:
        parts.append('<div class="two">')
        parts.append(
            '<div class="panel"><h3>Preference model</h3><p class="soft">AUC on users it never saw, with 95 % intervals, '
            f"against simpler rankings.</p>{judged}{_looks_matter(view.preference)}</div>"
        )
        if calibration:
            said = '<p class="soft">Click rates, predicted and seen.</p>'
            parts.append(f'<div class="panel"><h3>Calibration</h3>{said}{calibration}</div>')
        parts.append("</div>")
    parts.append(curves)
    return section("learning", "What the models learned", "".join(parts))


def stages(lines: Sequence[Mapping[str, Any]]) -> str:
    """Stages in the order of the day: seconds, counts, figures."""
    if not lines:
        return ""
    lines = _merged(lines)
    longest = max(line["seconds"] for line in lines) or 1.0
    rows = []
    for line in lines:
        counts = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in line["counts"].items())
        figures = ", ".join(_figure(name, value) for name, value in list(_plain(line["figures"]))[:_FIGURES_SHOWN])
        rows.append(
            f'<tr><th scope="row">{escape(line["stage"])}</th><td class="n">{line["seconds"]:.1f} s</td>'
            f"<td>{bar(line['seconds'] / longest)}</td>"
            f"<td>{escape(counts)}</td><td><small>{figures}</small></td></tr>"
        )
    names = ("stage", "seconds", "share of the longest", "counts", "figures")
    head = "".join(f'<th scope="col"{" class=n" if name == "seconds" else ""}>{name}</th>' for name in names)
    table = (
        f'<table><caption class="hidden">Stages in the order of the day</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
    return section("stages", "The day, stage by stage", scrolled("Stages in the order of the day", table))


def quality(view: DayView) -> str:
    """Clean and quarantined rows by reason, and the way to the data docs."""
    if not view.quality and not view.docs:
        return ""
    parts = []
    for name, entry in view.quality.items():
        held = sum(entry["quarantined"].values())
        share = held / max(1, held + entry["clean"])
        words = f"{entry['clean']:,} clean rows, {held:,} in quarantine ({100 * share:.2f} %)"
        most = max(entry["quarantined"].values(), default=1)
        rows = "".join(
            f'<tr><th scope="row">{escape(reason.replace("_", " "))}</th><td class="n">{count:,}</td>'
            f"<td>{bar(count / most)}</td></tr>"
            for reason, count in entry["quarantined"].items()
        )
        caption = f'<caption class="hidden">Quarantined {escape(name)} by reason</caption>'
        table = f'<table class="tight">{caption}<tbody>{rows}</tbody></table>' if rows else ""
        checks = _checks(entry.get("checks", {}))
        parts.append(f'<div class="panel"><h3>{escape(name.capitalize())}</h3><p class="soft">{words}</p>{table}{checks}</div>')
    if view.docs:
        links = ", ".join(f'<a href="{escape(page, quote=True)}">{escape(page.split("/")[-2])}</a>' for page in view.docs)
        parts.append(f"<p>Every expectation with what was found: data docs of {links}.</p>")
    parts += [f'<p class="soft">{escape(text)}</p>' for text in _provenance(view)]
    return section("quality", "Data quality", "".join(parts))


def _checks(checks: Mapping[str, Any]) -> str:
    """Figures of the day against the trailing weeks, and what else was remarked."""
    columns = "".join(f'<th scope="col" class="n">{words}</th>' for words in ("today", "usually", "robust z"))
    head = f'<th scope="col">figure</th>{columns}<th scope="col">verdict</th>'
    rows = "".join(
        f'<tr><th scope="row">{escape(found["name"].replace("_", " "))}</th>'
        + "".join(f'<td class="n">{_number(found[name])}</td>' for name in ("value", "usual", "z"))
        + f"<td>{escape(found['verdict'])}</td></tr>"
        for found in checks.get("findings", ())
    )
    caption = '<caption class="hidden">Figures of the day against the past weeks</caption>'
    table = f'<table class="tight">{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>' if rows else ""
    return table + "".join(f'<p class="note">{escape(remark)}</p>' for remark in checks.get("remarks", ()))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def missing(entries: Sequence[str]) -> str:
    """What this page could not tell."""
    if not entries:
        return ""
    items = "".join(f"<li>{escape(entry)}</li>" for entry in entries)
    return section("missing", "Not on this page", f'<div class="note"><ul>{items}</ul></div>')


def _provenance(view: DayView) -> list[str]:
    """Where outside data come from and how they were made into logs, each text once; a licence may ask for it."""
    texts = []
    for entry in view.quality.values():
        origin = entry["metadata"].get("provenance")
        if isinstance(origin, Mapping):
            texts += [str(origin[name]) for name in ("attribution", "method") if isinstance(origin.get(name), str)]
    return list(dict.fromkeys(texts))


def _merged(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One line per stage: seconds and counts of mapped tasks added up, figures of a stage that ran once."""
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        known = found.get(line["stage"])
        if known is None:
            found[line["stage"]] = {**line, "counts": dict(line["counts"]), "tasks": 1}
            continue
        known["seconds"] += line["seconds"]
        known["tasks"] += 1
        known["figures"] = {"tasks": known["tasks"]}
        for name, count in line["counts"].items():
            known["counts"][name] = known["counts"].get(name, 0) + count
    return list(found.values())


def _auc(card: Mapping[str, Any]) -> str:
    """The model first, then what it is compared with; a predictor without an interval is left out."""
    metrics = card.get("metrics")
    judged = metrics.get("figures") if isinstance(metrics, Mapping) else None
    found = {name: entry.get("auc") for name, entry in judged.items()} if isinstance(judged, Mapping) else {}
    order = sorted(found, key=lambda name: (name != "model", name))
    dots = [
        Dot(label=name.replace("_", " "), mean=entry["mean"], low=entry["low"], high=entry["high"], strong=name == "model")
        for name, entry in ((name, found[name]) for name in order)
        if isinstance(entry, Mapping) and {"mean", "low", "high"} <= set(entry)
    ]
    return interval_plot(dots, title="AUC on held-out users", width=640)


def _looks_matter(card: Mapping[str, Any]) -> str:
    """What hiding the pictures costs the model: whether looks carry any signal in these data."""
    metrics = card.get("metrics")
    found = metrics.get("difference_to_no_image") if isinstance(metrics, Mapping) else None
    auc = found.get("auc") if isinstance(found, Mapping) else None
    if not isinstance(auc, Mapping) or not {"mean", "low", "high"} <= set(auc):
        return ""
    told = f"{100 * auc['mean']:+.1f} points of AUC ({100 * auc['low']:+.1f} to {100 * auc['high']:+.1f})"
    if auc["low"] > 0:
        return f"<p>Seeing the covers is worth {told}: in these data looks matter.</p>"
    return f"<p>Seeing the covers is worth {told}: in these data looks carry no signal that can be told from noise.</p>"


def _calibration(card: Mapping[str, Any]) -> str:
    bins = card.get("calibration", [])
    pairs = (
        [(entry["predicted"], entry["seen"]) for entry in bins if isinstance(entry, Mapping)] if isinstance(bins, list) else []
    )
    return calibration_plot(pairs, title="Calibration on held-out users")


def _plain(figures: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in figures.items() if isinstance(value, int | float | str) and len(str(value)) < 60]


def _figure(name: str, value: Any) -> str:
    said = f"{value:.4g}" if isinstance(value, float) else str(value)
    return escape(f"{name.replace('_', ' ')} {said}")
