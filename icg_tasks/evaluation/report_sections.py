"""The report's sections about covers: headline figures, uplift, six segments by eight items, the gallery.

Each function takes what was gathered and returns HTML, or an empty text where there is nothing to show.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from icg_tasks.evaluation import arms as names
from icg_tasks.evaluation.report_data import CoverCard, DayView, Evaluation, Picture, SegmentView
from icg_tasks.evaluation.report_images import SMALL
from icg_tasks.evaluation.report_measures import STRONG, arm_table, said
from icg_tasks.evaluation.report_plots import Dot, interval_plot
from icg_tasks.evaluation.report_words import ARM_WORDS, METRIC_WORDS, find_row


def tiles(view: DayView) -> str:
    """Headline figures, as many as there are."""
    found = [*_uplift_tiles(view.evaluation), *_day_tiles(view)]
    return f'<div class="tiles">{"".join(found)}</div>' if found else ""


def uplift(evaluation: Evaluation | None) -> str:
    """The plot and the whole table, with paired gains and shares of what is achievable."""
    if evaluation is None or not evaluation.rows:
        return ""
    rows, detail = evaluation.rows, evaluation.detail
    metric = names.LOGIT if find_row(rows, names.OWN, names.LOGIT) else names.PREFERENCE
    dots = [
        Dot(label=ARM_WORDS[row["arm"]], mean=row["mean"], low=row["low"], high=row["high"], strong=row["arm"] in STRONG)
        for row in rows
        if row["metric"] == metric
    ]
    pairs = rows[0]["n"]
    table = arm_table(rows, names.BLOCKS[0][1])
    return (
        f'<h2 id="uplift">Is it worth it?</h2><p class="soft">Mean {METRIC_WORDS[metric]} over {pairs} pairs of segment and '
        "held-out item, with 95 % bootstrap intervals over items. For a segment, the mean over all of its own users.</p>"
        f'<div class="panel">{interval_plot(dots, title=METRIC_WORDS[metric] + " by arm")}</div>'
        f'<div class="panel scroll">{table}</div>{_gains(detail)}{_notes(detail.get("notes", []))}'
    )


def six_by_eight(evaluation: Evaluation | None, addresses: Mapping[str, str]) -> str:
    """Segments as rows, items as columns, the items' own covers on top."""
    grid = grid_pairs(evaluation)
    if evaluation is None or not grid:
        return ""
    segments, items = grid
    titles = {item["item_id"]: item for item in evaluation.detail["items"]}
    sizes = {row["segment_id"]: row["size"] for row in evaluation.detail["segments"]}
    images = {(pair["segment_id"], pair["item_id"]): pair["images"] for pair in evaluation.detail["pairs"]}
    cells = ['<div class="who"></div>', *(f'<div class="what">{escape(titles[item]["title"])}</div>' for item in items)]
    first = segments[0]
    for arm, word in ((names.OWN, "own cover"), (names.PLAIN, "unpersonalised")):
        cells += [f'<div class="who"><b>{word}</b>the same for everybody</div>']
        cells += [_image(addresses.get(images[first, item].get(arm, "")), titles[item]["title"]) for item in items]
    cells.append('<div class="rule"></div>')
    for segment in segments:
        cells += [f'<div class="who"><b>{escape(segment)}</b>{sizes[segment]:,} users</div>']
        cells += [
            _image(addresses.get(images[segment, item].get(names.PERSONAL_BEST, "")), titles[item]["title"]) for item in items
        ]
    columns = f"grid-template-columns:minmax(96px,1.1fr) repeat({len(items)},minmax(0,1fr))"
    return (
        '<h2 id="looks">One item, many looks</h2><p class="soft">Held-out items, drawn for the largest segments: down a column '
        "the item stays, along a row the taste stays. Also as one picture: "
        '<a href="six_by_eight.png">six_by_eight.png</a>.</p>'
        f'<div class="panel scroll"><div class="grid8" style="{columns}">{"".join(cells)}</div></div>'
    )


def grid_pairs(evaluation: Evaluation | None) -> tuple[list[str], list[str]] | None:
    """The first six segments and eight items that the judged pairs have in common, or None."""
    if evaluation is None or not evaluation.detail.get("pairs"):
        return None
    segments = [row["segment_id"] for row in evaluation.detail["segments"]][:6]
    judged = {(pair["segment_id"], pair["item_id"]) for pair in evaluation.detail["pairs"]}
    items = [row["item_id"] for row in evaluation.detail["items"]]
    shared = [item for item in items if all((segment, item) in judged for segment in segments)][:8]
    return (segments, shared) if segments and shared else None


def gallery(segments: Sequence[SegmentView]) -> str:
    """Per segment: who it is, what its users click, and published covers beside the items' own."""
    if not segments:
        return ""
    body = "".join(_segment(number, segment) for number, segment in enumerate(segments, start=1))
    return (
        '<h2 id="gallery">Segment by segment</h2><p class="soft">The segments with the most expected traffic: covers of the '
        f"items their users click more than others do, then what was published for them.</p>{body}"
    )


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


def _day_tiles(view: DayView) -> list[str]:
    found = []
    covers = next((line for line in view.stages if line["stage"] == "publish-covers"), None)
    if covers:
        count = next((covers["counts"][name] for name in ("covers", "rows", "published") if name in covers["counts"]), None)
        if count is not None:
            found.append(_tile(f"{count:,}", f"covers up for {len(view.segments)} top segments"))
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


def _tile(figure: str, words: str) -> str:
    return f'<div class="tile"><b>{escape(figure)}</b><span>{escape(words)}</span></div>'


def _gains(detail: Mapping[str, Any]) -> str:
    lines = []
    for row in detail.get("gains", []):
        if row["metric"] in (names.LOGIT, names.HELD_OUT_LOGIT, names.PROBABILITY) or (
            row["metric"] == names.PREFERENCE and not detail.get("shares")
        ):
            words = f"{ARM_WORDS[row['arm']]} <span class='soft'>minus</span> {ARM_WORDS[row['against']]}"
            lines.append(f'<tr><td>{words}</td><td>{METRIC_WORDS[row["metric"]]}</td><td class="n">{said(row)}</td></tr>')
    for row in detail.get("shares", []):
        words = f"{ARM_WORDS[row['arm']]} <span class='soft'>over</span> {ARM_WORDS[row['against']]}"
        cell = f"{100 * row['mean']:.0f} %<small>{100 * row['low']:.0f} – {100 * row['high']:.0f}</small>"
        lines.append(
            f'<tr><td>{words}</td><td>share of the achievable {METRIC_WORDS[row["metric"]]}</td><td class="n">{cell}</td></tr>'
        )
    if not lines:
        return ""
    return (
        '<details class="panel scroll"><summary>Paired differences on the same pairs, shares of what is achievable</summary>'
        f"<table><tbody>{''.join(lines)}</tbody></table></details>"
    )


def _notes(notes: Sequence[str]) -> str:
    return f'<div class="note">{"".join(f"<p>{escape(note)}</p>" for note in notes)}</div>' if notes else ""


def _segment(number: int, segment: SegmentView) -> str:
    history = "".join(
        f"<figure>{_image(picture.address, picture.caption)}<figcaption>{escape(picture.caption)}</figcaption></figure>"
        for picture in segment.history
    )
    strip = f'<div class="label">What they click</div><div class="strip">{history}</div>' if history else ""
    cards = "".join(_card(card) for card in segment.cards)
    shown = f'<div class="cards">{cards}</div>' if cards else '<p class="soft">No covers were published for this segment.</p>'
    return (
        f'<section class="segment panel"><header><h3>{segment.icon} {number}. {escape(segment.name)}</h3>'
        f'<span class="soft">{escape(segment.segment_id)} · {segment.size:,} users · '
        f"{segment.traffic:,.0f} impressions a day expected</span></header>"
        f"{strip}{shown}</section>"
    )


def _card(card: CoverCard) -> str:
    trio = [_figure(card.own.address, "own cover", "", card.title)]
    trio.append(
        _figure(card.plain.address, "unpersonalised", _scores(card.plain), card.title) if card.plain else "<figure></figure>"
    )
    trio.append(_figure(card.personal.address, "for this segment", _scores(card.personal), card.title, mine=True))
    return f'<article class="card"><h4>{escape(card.title)}</h4><div class="trio">{"".join(trio)}</div></article>'


def _figure(address: str | None, caption: str, scores: str, title: str, *, mine: bool = False) -> str:
    words = f"<b>{caption}</b>{scores}"
    return f"<figure{' class=mine' if mine else ''}>{_image(address, title)}<figcaption>{words}</figcaption></figure>"


def _scores(picture: Picture) -> str:
    return "".join(f"<span><i>{escape(name)}</i><i>{value:.2f}</i></span>" for name, value in picture.scores.items())


def _image(address: str | None, title: str) -> str:
    if address is None:
        return '<div class="gone">picture could not be read</div>'
    address, title = escape(address, quote=True), escape(title, quote=True)
    kind = ' class="small"' if SMALL in address else ""
    return f'<img{kind} loading="lazy" src="{address}" alt="{title}" title="{title}">'
