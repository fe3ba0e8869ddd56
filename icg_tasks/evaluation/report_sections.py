"""The report's sections of figures: headline tiles, uplift with its table, paired differences, notes.

Each function takes what was gathered and returns HTML, or an empty text where there is nothing to show.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from icg_tasks.evaluation import arms as names
from icg_tasks.evaluation.report_data import DayView, Evaluation
from icg_tasks.evaluation.report_frame import scrolled, section
from icg_tasks.evaluation.report_measures import STRONG, arm_table, said
from icg_tasks.evaluation.report_plots import Dot, interval_plot
from icg_tasks.evaluation.report_words import ARM_WORDS, METRIC_WORDS, find_row


def tiles(view: DayView, linked: bool = False) -> str:
    """Headline figures, as many as there are; ``linked``: there is a covers.html."""
    found = [*_uplift_tiles(view.evaluation), *_day_tiles(view, linked)]
    return f'<ul class="tiles" aria-label="Headline figures">{"".join(found)}</ul>' if found else ""


def judged_arms(evaluation: Evaluation | None) -> frozenset[str]:
    """The arms whose judged covers are kept, so that a figure can lead to them."""
    pairs = evaluation.detail.get("pairs", []) if evaluation else []
    return frozenset(arm for pair in pairs for arm in pair["images"])


def uplift(evaluation: Evaluation | None, linked: frozenset[str] = frozenset()) -> str:
    """The plot and the whole table, with paired gains and shares; figures of ``linked`` arms lead to their covers."""
    if evaluation is None or not evaluation.rows:
        return ""
    rows, detail = evaluation.rows, evaluation.detail
    metric = names.LOGIT if find_row(rows, names.OWN, names.LOGIT) else names.PREFERENCE
    dots = [
        Dot(label=ARM_WORDS[row["arm"]], mean=row["mean"], low=row["low"], high=row["high"], strong=row["arm"] in STRONG)
        for row in rows
        if row["metric"] == metric
    ]
    words = (
        f"Mean {METRIC_WORDS[metric]} over {rows[0]['n']} pairs of segment and held-out item, with 95 % bootstrap intervals "
        "over items. For a segment, the mean over all of its own users."
    )
    leads = ' <span class="keep">A linked figure leads to the covers behind it.</span>' if linked else ""
    plot = interval_plot(dots, title=METRIC_WORDS[metric] + " by arm")
    table = scrolled("Clicks and scores by arm", arm_table(rows, names.BLOCKS[0][1], "Clicks and scores by arm", linked))
    notes = _notes(detail.get("notes", []))
    body = (
        f'<p class="soft">{words}{leads}</p><div class="panel plot" role="region" tabindex="0" '
        f'aria-label="Plot of arms">{plot}</div>{table}{_gains(detail)}{notes}'
    )
    return section("uplift", "Is it worth it?", body)


def _uplift_tiles(evaluation: Evaluation | None) -> list[str]:
    if evaluation is None:
        return []
    rows, found = evaluation.rows, []
    own, mine = (find_row(rows, arm, names.PROBABILITY) for arm in (names.OWN, names.PERSONAL))
    if own and mine and own["mean"] > 0:
        change = 100 * (mine["mean"] / own["mean"] - 1)
        found.append(_tile(f"{change:+.0f} %", "true click probability of personalised covers against items’ own"))
    share = find_row(evaluation.detail.get("shares", []), names.PERSONAL, names.LOGIT, names.PLAIN)
    if share:
        said = (
            f"of the gain that is achievable at all ({100 * share['low']:.0f} to {100 * share['high']:.0f} %), one image each"
        )
        found.append(_tile(f"{100 * share['mean']:.0f} %", said))
    subject = find_row(rows, names.PERSONAL, names.SUBJECT)
    if subject:
        found.append(
            _tile(
                f"{100 * subject['mean']:.0f} %", "of personalised covers still show their subject, says an independent judge"
            )
        )
    return found


def _day_tiles(view: DayView, linked: bool) -> list[str]:
    found = []
    covers = next((line for line in view.stages if line["stage"] == "publish-covers"), None)
    if covers:
        count = next((covers["counts"][name] for name in ("covers", "rows", "published") if name in covers["counts"]), None)
        if count is not None:
            words = f"covers up for {len(view.segments)} top segments"
            found.append(_tile(f"{count:,}", words, "covers.html" if linked else ""))
    found += _auc_tile(view.preference)
    seconds = sum(line["seconds"] for line in view.stages)
    if seconds:
        found.append(_tile(f"{int(seconds) // 60}:{int(seconds) % 60:02d}", "minutes of stage time for the whole day"))
    return found


def _auc_tile(card: Mapping[str, Any]) -> list[str]:
    metrics = card.get("metrics", {})
    judged, best = metrics.get("figures", {}), metrics.get("best_baseline", "")
    mine, other = (judged.get(name, {}).get("auc") for name in ("model", best))
    if not mine:
        return []
    against = f", the best simple ranking {other['mean']:.2f}" if other else ""
    return [_tile(f"{mine['mean']:.2f}", f"AUC of the preference model on users it never saw{against}")]


def _tile(figure: str, words: str, to: str = "") -> str:
    said = f'<a href="{escape(to, quote=True)}">{escape(words)}</a>' if to else escape(words)
    return f'<li class="tile"><b>{escape(figure)}</b><span>{said}</span></li>'


def _gains(detail: Mapping[str, Any]) -> str:
    lines = []
    for row in detail.get("gains", []):
        if row["metric"] in (names.LOGIT, names.HELD_OUT_LOGIT, names.PROBABILITY) or (
            row["metric"] == names.PREFERENCE and not detail.get("shares")
        ):
            words = f"{ARM_WORDS[row['arm']]} <span class='soft'>minus</span> {ARM_WORDS[row['against']]}"
            lines.append(
                f'<tr><th scope="row">{words}</th><td>{METRIC_WORDS[row["metric"]]}</td><td class="n">{said(row)}</td></tr>'
            )
    for row in detail.get("shares", []):
        words = f"{ARM_WORDS[row['arm']]} <span class='soft'>over</span> {ARM_WORDS[row['against']]}"
        cell = f"{100 * row['mean']:.0f} %<small>{100 * row['low']:.0f} – {100 * row['high']:.0f}</small>"
        lines.append(
            f'<tr><th scope="row">{words}</th><td>share of the achievable {METRIC_WORDS[row["metric"]]}</td>'
            f'<td class="n">{cell}</td></tr>'
        )
    if not lines:
        return ""
    title = "Paired differences on the same pairs, shares of what is achievable"
    head = '<thead><tr><th scope="col">arms</th><th scope="col">figure</th><th scope="col" class="n">mean</th></tr></thead>'
    table = f'<table><caption class="hidden">{title}</caption>{head}<tbody>{"".join(lines)}</tbody></table>'
    return f'<details class="panel"><summary>{title}</summary>{scrolled(title, table, panel=False)}</details>'


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    entries = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<details class="panel"><summary>How this was measured, in {len(notes)} notes</summary><ul>{entries}</ul></details>'
