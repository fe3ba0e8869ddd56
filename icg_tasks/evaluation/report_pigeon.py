"""The report's section about Pigeon: what it keeps of a history for one item and for another, and how its training went.

Takes what was gathered and returns HTML, or an empty text where another generator made the covers.
"""

from html import escape

from icg_tasks.evaluation.report_curves import training_panels
from icg_tasks.evaluation.report_data import DayView
from icg_tasks.evaluation.report_frame import scrolled, section


def pigeon(view: DayView) -> str:
    """Masks as pictures, then the curves of both stages."""
    shown = _masks(view.masks)
    curves = training_panels(view.pigeon, "Pigeon: masked reconstruction, then pairwise alignment")
    return section("masks", "What Pigeon looks at", shown + curves) if shown or curves else ""


def _masks(address: str | None) -> str:
    if address is None:
        return ""
    words = (
        "One history, two items. Each row begins with an item’s own cover, half of it hidden; beside it stand five covers that "
        "one user clicked, and nearly black are the patches that are hidden when a cover is made for that item. Where the rows "
        "differ, the item decides what is taken from the history."
    )
    image = f'<img class="masks" src="{escape(address, quote=True)}" alt="history masked for two items">'
    return f'<p class="soft">{words}</p>{scrolled("One history, masked for two items", image)}'
