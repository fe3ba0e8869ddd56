"""What every page of the report has around its content: head, policy, skip link, landmarks, navigation, sections, footer.

Knows HTML and the style; no figures. The policy lets a page load pictures and scripts from beside itself and nothing from
anywhere else, so a page that asks another machine for something breaks visibly instead of telling it who reads.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from icg_tasks.evaluation.report_style import STYLE

POLICY: Final = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; script-src 'self'; base-uri 'none'; "
    "form-action 'none'"
)


def document(
    *,
    title: str,
    kind: str,
    lead: str,
    body: str,
    footer: str,
    links: Mapping[str, str] | None = None,
    style: str = "",
    scripts: Sequence[str] = (),
) -> str:
    """One whole page. ``title`` and ``kind`` are texts, the others HTML; ``links`` maps addresses to words (texts)."""
    loaded = "".join(f'<script defer src="{escape(name, quote=True)}"></script>' for name in scripts)
    entries = "".join(f'<li><a href="{escape(to, quote=True)}">{escape(words)}</a></li>' for to, words in (links or {}).items())
    navigation = f'<nav aria-label="On this page"><ul>{entries}</ul></nav>' if entries else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">'
        f"<style>{STYLE}{style}</style>{loaded}</head>"
        '<body><a class="skip" href="#content">Skip to the content</a>'
        f'<header class="top"><p class="kicker">ICG Covers · {escape(kind)}</p><h1>{escape(title)}</h1>{lead}{navigation}'
        "</header>"
        f'<main id="content" tabindex="-1">{body}</main><footer>{footer}</footer></body></html>\n'
    )


def section(name: str, title: str, body: str) -> str:
    """A section of the page with its heading; ``name`` is its anchor, ``title`` a text, ``body`` HTML."""
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{escape(title)}</h2>{body}</section>'


def scrolled(label: str, body: str, *, panel: bool = True) -> str:
    """Wide HTML that scrolls sideways by itself: reachable by keyboard, and named for those who do not see it."""
    kind = "panel scroll" if panel else "scroll"
    return f'<div class="{kind}" role="region" tabindex="0" aria-label="{escape(label, quote=True)}">{body}</div>'


def source_note(words: str, *, known_truth: bool) -> str:
    """What may be claimed about the data, as a note; ``words`` is a text."""
    return f'<div class="note{" good" if known_truth else ""}"><p>{escape(words)}</p></div>'
