"""The report's sections of pictures: six segments by eight items, and what was published segment by segment.

Each function takes what was gathered and returns HTML, or an empty text where there is nothing to show. Every picture's
alternative text says which item it is for and for whom it was made, since that is what a page of covers is about.
"""

from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import quote

from icg_tasks.evaluation import arms as names
from icg_tasks.evaluation.report_data import CoverCard, Evaluation, Picture, SegmentView
from icg_tasks.evaluation.report_frame import scrolled, section
from icg_tasks.evaluation.report_images import SMALL
from icg_tasks.evaluation.report_words import signed


def six_by_eight(evaluation: Evaluation | None, addresses: Mapping[str, str], named: Sequence[SegmentView] = ()) -> str:
    """Segments as rows, items as columns, the items' own covers on top; ``named`` segments bear their names and icons."""
    grid = grid_pairs(evaluation)
    if evaluation is None or not grid:
        return ""
    segments, items = grid
    titles = {item["item_id"]: item["title"] for item in evaluation.detail["items"]}
    sizes = {row["segment_id"]: row["size"] for row in evaluation.detail["segments"]}
    images = {(pair["segment_id"], pair["item_id"]): pair["images"] for pair in evaluation.detail["pairs"]}
    views = {view.segment_id: view for view in named}

    def line(segment: str, arm: str, words: str, small: str, icon: str = "") -> str:
        cells = "".join(
            f"<td>{picture(addresses.get(images[segment, item].get(arm, '')), f'{titles[item]}: {words}')}</td>"
            for item in items
        )
        who = f'<div class="who">{icon}<div><b>{escape(words)}</b> {escape(small)}</div></div>'
        return f'<tr><th scope="row">{who}</th>{cells}</tr>'

    def taste(segment: str) -> str:
        view = views.get(segment)
        small, icon = f"{sizes[segment]:,} users", ""
        if view is not None:
            small, icon = f"{segment} · {small}", f'<span class="icon" aria-hidden="true">{view.icon}</span>'
        return line(segment, names.PERSONAL_BEST, view.name if view else segment, small, icon)

    head = "".join(f'<th scope="col">{escape(titles[item])}</th>' for item in items)
    same = "the same for everybody"
    top = line(segments[0], names.OWN, "own cover", same) + line(segments[0], names.PLAIN, "unpersonalised", same)
    own = "".join(taste(segment) for segment in segments)
    table = (
        '<table class="grid8"><caption class="hidden">Covers of the same items for several segments</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{top}</tbody><tbody>{own}</tbody></table>"
    )
    words = (
        "Held-out items, drawn for the largest segments: down a column the item stays, along a row the taste stays. "
        'Also as one picture: <a href="six_by_eight.png">six_by_eight.png</a>.'
    )
    return section(
        "looks", "One item, many looks", f'<p class="soft">{words}</p>{scrolled("Covers by segment and item", table)}'
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


def gallery(segments: Sequence[SegmentView], linked: bool = False) -> str:
    """Per segment: who it is, what its users click, published covers beside the items' own; ``linked``: to covers.html."""
    if not segments:
        return ""
    body = "".join(_segment(number, segment, linked) for number, segment in enumerate(segments, start=1))
    all_of_them = ' <a href="covers.html">All covers, to search and compare</a>.' if linked else ""
    words = (
        "The segments with the most expected traffic: covers of the items their users click more than others do, then what "
        f"was published for them. How far a segment moved is how its taste turned since the day before (0 to 2)."
        f"{all_of_them}"
    )
    return section("gallery", "Segment by segment", f'<p class="soft">{words}</p>{body}')


def picture(address: str | None, words: str) -> str:
    """A picture that loads when it comes into view; ``words`` is what it shows. Small ones are enlarged without smoothing."""
    if address is None:
        return f'<div class="gone" role="img" aria-label="{escape(words, quote=True)}">picture could not be read</div>'
    kind = ' class="small"' if SMALL in address else ""
    return (
        f'<img{kind} loading="lazy" decoding="async" width="128" height="128" src="{escape(address, quote=True)}" '
        f'alt="{escape(words, quote=True)}">'
    )


def _segment(number: int, segment: SegmentView, linked: bool) -> str:
    history = "".join(
        f"<li><figure>{picture(entry.address, entry.caption)}<figcaption>{escape(entry.caption)}</figcaption></figure></li>"
        for entry in segment.history
    )
    strip = f'<h4 class="label">What they click</h4><ul class="strip">{history}</ul>' if history else ""
    cards = "".join(_card(card, segment.name) for card in segment.cards)
    moved = "new" if segment.drift is None else f"moved by {segment.drift:.3f}"
    more = f' · <a href="covers.html#segment={quote(segment.segment_id)}">all of its covers</a>' if linked and cards else ""
    shown = (
        f'<h4 class="label">What was published for them</h4><div class="cards">{cards}</div>'
        if cards
        else '<p class="soft">No covers were published for this segment.</p>'
    )
    return (
        f'<article class="segment panel"><header><span class="icon" aria-hidden="true">{segment.icon}</span>'
        f'<h3>{number}. {escape(segment.name)}</h3><span class="soft">{escape(segment.segment_id)} · {segment.size:,} users · '
        f"{segment.traffic:,.0f} impressions a day expected · {moved}{more}</span></header>{strip}{shown}</article>"
    )


def _card(card: CoverCard, segment: str) -> str:
    trio = _figure(card.own, "own cover", card.title)
    trio += _figure(card.plain, "unpersonalised", card.title) if card.plain else "<div></div>"
    trio += _figure(card.personal, "for this segment", f"{card.title}: {segment}", mine=True)
    return f'<article class="card"><h5>{escape(card.title)}</h5><div class="trio">{trio}</div></article>'


def _figure(shown: Picture, caption: str, title: str, *, mine: bool = False) -> str:
    scores = "".join(f"<span><i>{escape(name)}</i><i>{signed(value, 2)}</i></span>" for name, value in shown.scores.items())
    image = picture(shown.address, f"{title}: {caption}")
    return f"<figure{' class=mine' if mine else ''}>{image}<figcaption><b>{caption}</b>{scores}</figcaption></figure>"
