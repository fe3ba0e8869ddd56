"""covers.html as one HTML text: every published and judged cover of a day, to search, sort, compare and look at closely.

The first covers stand in the page itself, so that there is something to see before any script has run, and without one; the
script (explore_script.py) then takes over the list. Knows the tables of explore_data; nothing of how they came about.
"""

from datetime import date
from html import escape
from typing import Any, Final

from icg_tasks.evaluation.explore_data import Covers
from icg_tasks.evaluation.explore_script import PAGE_SIZE
from icg_tasks.evaluation.explore_style import EXPLORE_STYLE
from icg_tasks.evaluation.report_frame import document
from icg_tasks.evaluation.report_words import said_date

_FORM: Final = """<form id="filters" class="filters panel" role="search" aria-label="Choose covers" hidden>
<fieldset><legend>Covers</legend>
<label><input type="radio" name="view" value="published"{no_published}> published <span class="soft">{published}</span></label>
<label><input type="radio" name="view" value="judged"{no_judged}> judged <span class="soft">{judged}</span></label></fieldset>
<label data-when="judged">Made how <select name="arm"></select></label>
<label data-when="many">Made by <select name="generator"></select></label>
<label>For <select name="segment"></select></label>
<label data-when="published">Made when <select name="made"><option value="">any day</option>
<option value="new">this day</option><option value="kept">kept from earlier</option></select></label>
<label>Order <select name="sort"></select></label>
<label>Compare with <select name="against"></select></label>
<label class="check" data-when="against"><input type="checkbox" name="different"> only where they differ</label>
<label class="grow">Title
<input type="search" name="q" autocomplete="off" placeholder="part of a title, or an item’s id"></label>
</form>"""
_LIST: Final = """<section id="list" aria-label="Covers"><p id="status" class="status" role="status" tabindex="-1">{status}</p>
<ol id="covers" class="covers" data-day="{day}">{cards}</ol>
<nav id="pages" class="pages" aria-label="Pages of covers" hidden><button type="button" id="before">Previous</button>
<span id="which"></span><button type="button" id="after">Next</button></nav></section>
<dialog id="detail" aria-labelledby="detail-title" aria-describedby="detail-for">
<div class="heading"><h2 id="detail-title">Cover</h2>
<button type="button" id="close">Close</button></div><p id="detail-for" class="soft"></p>
<div id="detail-pictures" class="pictures"></div><table><caption class="hidden">Figures of this cover</caption>
<thead id="detail-heads" hidden><tr><td></td><th scope="col" class="n">this cover</th>
<th scope="col" class="n" id="detail-other">compared</th></tr></thead><tbody id="detail-values"></tbody></table>
<p class="soft keys">The arrow keys lead to the covers before and after.</p></dialog>"""


def covers_page(covers: Covers, run_date: date) -> str:
    """The whole page; its script and its tables are the files ``explore.js`` and ``covers.js`` beside it."""
    listed = sum(row[0] != 0 for row in covers.published)
    judged = len(covers.judged) * len(covers.arms)
    cards, count = _first_cards(covers)
    total = listed or len(covers.judged)
    status = f"1 to {count:,} of {total:,} covers" if count else "No covers"
    form = _FORM.format(
        published=f"{listed:,}",
        judged=f"{judged:,}",
        no_published="" if listed else " disabled",
        no_judged="" if judged else " disabled",
    )
    shown = _LIST.format(status=status, day=escape(covers.day, quote=True), cards=cards)
    without = f'<noscript><p class="note">To search and compare, allow scripts; here are the first {count:,}.</p></noscript>'
    lead = (
        f'<p class="lead">{escape(_lead(covers, listed))}</p><nav class="back" aria-label="Report">'
        '<a href="index.html">Back to the day’s report</a></nav>'
    )
    return document(
        title=f"All covers of {said_date(run_date)}",
        kind="covers",
        lead=lead,
        body=without + form + shown,
        footer="<p>Pictures are read from where they were published; a cover whose day was cleared away is no longer kept.</p>",
        style=EXPLORE_STYLE,
        scripts=("explore.js", "covers.js"),
    )


def _lead(covers: Covers, listed: int) -> str:
    if listed < covers.num_published:
        return f"The busiest {listed:,} of {covers.num_published:,} published covers."
    parts = [f"{listed:,} published for {len({row[0] for row in covers.published} - {0}):,} segments"] if listed else []
    if covers.judged:
        parts.append(f"{len(covers.judged):,} pairs judged in {len(covers.arms)} ways")
    return f"{', '.join(parts)}."


def _first_cards(covers: Covers) -> tuple[str, int]:
    """The first page of the list as the script would draw it."""
    mine = [(row[0], row[1], row[3], f"by {covers.generators[row[2]]}") for row in covers.published if row[0] != 0]
    if not mine:
        place = max(0, len(covers.arms) - 1)
        mine = [(row[0], row[1], row[2][place], covers.arms[place].replace("_", " ")) for row in covers.judged if row[2][place]]
    cards = [_card(covers, number, entry) for number, entry in enumerate(mine[:PAGE_SIZE])]
    return "".join(cards), len(cards)


def _card(covers: Covers, number: int, entry: tuple[int, int, Any, str]) -> str:
    segment, title = covers.segments[entry[0]][1], covers.items[entry[1]][1]
    words, address = escape(f"{title}, {entry[3]}, for {segment}", quote=True), escape(str(entry[2]), quote=True)
    return (
        f'<li class="cover"><a class="open" href="{address}" data-n="{number}"><img loading="lazy" decoding="async" '
        f'width="128" height="128" src="{address}" alt="{words}"></a><span class="title">{escape(title)}</span>'
        f'<span class="for">{escape(segment)}</span></li>'
    )
