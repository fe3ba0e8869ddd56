"""``icg report``: one page a person enjoys, about what the day made, for whom, and how good it is.

Writes ``reports/ds=…/index.html`` and the pictures beside it, ``covers.html`` with all covers to search and compare, and
``figures.json`` for the pages of later days. Works from whatever exists; a missing part is named on the page.
The page tells how long stages took, so unlike data sets it is not the same bytes when a day is run again.
"""

from collections.abc import Mapping

from icg_tasks.contracts.partitions import REPORTS, partition_prefix
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.evaluation.arms import PERSONAL_BEST
from icg_tasks.evaluation.explore_data import Covers, gather_covers
from icg_tasks.evaluation.explore_page import covers_page
from icg_tasks.evaluation.explore_script import SCRIPT
from icg_tasks.evaluation.report_data import Evaluation, gather
from icg_tasks.evaluation.report_gallery import grid_pairs
from icg_tasks.evaluation.report_images import ImageFolder, grid_png
from icg_tasks.evaluation.report_page import page
from icg_tasks.evaluation.report_trend import earlier_figures, figures_of, keep_figures
from icg_tasks.stage import StageContext


def run(context: StageContext) -> StageOutcome:
    """Write the page of the run date."""
    store, day, prefix = context.store, context.run_date, partition_prefix(REPORTS, context.run_date)
    images = ImageFolder(store, day)
    view = gather(context, images)
    addresses = _judged_pictures(images, view.evaluation)
    outputs = [f"{prefix}/index.html"]
    sheet = _six_by_eight(images, view.evaluation, addresses)
    if sheet is not None:
        store.put(f"{prefix}/six_by_eight.png", sheet)
        outputs.append(f"{prefix}/six_by_eight.png")
    earlier = earlier_figures(store, day)
    covers = gather_covers(context, view, images, [found.day for found in reversed(earlier) if found.covers])
    listed = 0 if covers is None else len(covers.published) + len(covers.judged)
    outputs += _write_covers(context, covers, prefix)
    today = figures_of(day, context.settings.generator, listed, view.evaluation)
    outputs.append(keep_figures(store, today))
    text = page(view, day, context.settings.source, addresses, [*earlier, today], covers is not None)
    store.put(f"{prefix}/index.html", text.encode())
    for key in list(store.list(f"{prefix}/images/")):
        if key.rpartition("/")[2] not in images.kept:
            store.delete(key)
    for entry in view.missing:
        context.say(f"not on the page: {entry}")
    context.say(f"report: {store.address(f'{prefix}/index.html')}")
    return StageOutcome(
        outputs=outputs,
        counts={
            "segments": len(view.segments),
            "pictures": len(images.kept),
            "covers_listed": listed,
            "missing_parts": len(view.missing),
        },
        figures={"page": store.address(f"{prefix}/index.html"), "missing": view.missing},
    )


def _write_covers(context: StageContext, covers: Covers | None, prefix: str) -> list[str]:
    """covers.html with its script and tables; where there are no covers, what an earlier run left goes."""
    names = (f"{prefix}/covers.html", f"{prefix}/explore.js", f"{prefix}/covers.js")
    if covers is None:
        for key in names:
            context.store.delete(key)
        return []
    for key, text in zip(
        names, (covers_page(covers, context.run_date).encode(), SCRIPT.encode(), covers.script()), strict=True
    ):
        context.store.put(key, text)
    return list(names)


def _judged_pictures(images: ImageFolder, evaluation: Evaluation | None) -> dict[str, str]:
    """Pictures of the judged pairs that the grid shows, by store key."""
    grid = grid_pairs(evaluation)
    if evaluation is None or grid is None:
        return {}
    segments, items = set(grid[0]), set(grid[1])
    wanted = {
        key
        for pair in evaluation.detail["pairs"]
        if pair["segment_id"] in segments and pair["item_id"] in items
        for key in pair["images"].values()
    }
    found = {key: images.add_key(key) for key in sorted(wanted)}
    return {key: address for key, address in found.items() if address is not None}


def _six_by_eight(images: ImageFolder, evaluation: Evaluation | None, addresses: Mapping[str, str]) -> bytes | None:
    grid = grid_pairs(evaluation)
    if evaluation is None or grid is None:
        return None
    keys = {(pair["segment_id"], pair["item_id"]): pair["images"].get(PERSONAL_BEST, "") for pair in evaluation.detail["pairs"]}
    rows = [[addresses.get(keys[segment, item]) for item in grid[1]] for segment in grid[0]]
    whole = [[images.read(address) for address in row if address is not None] for row in rows]
    return grid_png(whole) if all(len(row) == len(grid[1]) for row in whole) else None
