"""pixelrec: PixelRec of any size (Pixel200K, 1M, 8M, the whole) with its covers, as raw data sets.

``--path`` is a folder with the interactions (a CSV file with columns item_id, user_id, timestamp), the item information (a CSV
file with item_id, title, tag and more) and the covers ``<item_id>.jpg`` (in ``covers``, ``images`` or the folder itself). Items
without title or cover stay out and are counted. An absent pair means "unknown": non-clicks are drawn (``streamed``).
"""

from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path

import pyarrow as pa

from icg_tasks.config.settings import Settings
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.intake.sources.catalogue import Listed, items_table, pictures
from icg_tasks.intake.sources.csv_stream import TextFile, header_of, read_batches
from icg_tasks.intake.sources.laid_out import window
from icg_tasks.intake.sources.outside import Bench, OutsideData
from icg_tasks.intake.sources.timed import timed_data

ATTRIBUTION = (
    "Interactions, item information and covers: PixelRec (Cheng et al., 2023, An Image Dataset for Benchmarking Recommender "
    "Systems with Raw Pixels; repository westlake-repl/PixelRec). For non-commercial research only; redistribution is not "
    "allowed. Days and non-clicks made by this ingest."
)
_EVENTS = ("item_id", "user_id", "timestamp")
_INFORMATION = ("item_id", "title", "tag")


def read_pixelrec(folder: Path, last_day: date, settings: Settings, bench: Bench) -> OutsideData:
    """The window ending with ``last_day``; raises DataMissing, DataCorrupt."""
    days = window(last_day, settings, "pixelrec")
    events, information = _file_with(folder, _EVENTS), _file_with(folder, _INFORMATION)
    images = pictures(folder, "pixelrec", ("covers", "cover", "images", "."))
    listed = [item for item in _items(information) if item.name in images.files]
    return timed_data(
        "pixelrec",
        settings,
        bench,
        days=days,
        read=partial(_interactions, TextFile(path=events), bench),
        files=[events, information],
        listed=listed,
        items=items_table(listed, "pixelrec", images, days[0]),
        images=images,
        attribution=ATTRIBUTION,
        user_name=str,
        item_name=lambda item: f"pixelrec-{item}",
    )


def _file_with(folder: Path, columns: tuple[str, ...]) -> Path:
    """The one CSV file of the folder whose header names these columns."""
    found = [path for path in sorted(folder.glob("*.csv")) if set(columns) <= set(header_of(path))]
    if not found:
        raise DataMissing(
            f"no CSV file in {folder} has a header line with {', '.join(columns)}; --path must be the folder of PixelRec's "
            "interactions and item information"
        )
    if len(found) > 1:
        raise DataCorrupt(
            f"{len(found)} files in {folder} have the columns {', '.join(columns)}: {', '.join(path.name for path in found)}; "
            "leave the one that is meant"
        )
    return found[0]


def _interactions(file: TextFile, bench: Bench, what: str) -> Iterator[pa.RecordBatch]:
    """Columns user, item, timestamp."""
    progress = bench.progress(f"pixelrec: {what}", file.path.stat().st_size)
    columns = {"user_id": pa.string(), "item_id": pa.string(), "timestamp": pa.int64()}
    for batch in read_batches(file, columns, progress.add):
        yield pa.RecordBatch.from_arrays(batch.columns, names=["user", "item", "timestamp"])
    progress.end()


def _items(path: Path) -> Iterator[Listed]:
    """Every item with a title, the first of each id; titles may hold commas, quotes and line breaks."""
    seen: set[str] = set()
    file = TextFile(path=path, lines_in_values=True)
    for batch in read_batches(file, dict.fromkeys(_INFORMATION, pa.string())):
        for row in batch.to_pylist():
            title = " ".join((row["title"] or "").split())
            if title and row["item_id"] not in seen:
                seen.add(row["item_id"])
                tag = " ".join((row["tag"] or "").split())[:64].strip() or "Unknown"
                yield Listed(name=row["item_id"], title=title, category=tag, language=_language(title))


def _language(title: str) -> str:
    """Chinese where a Han character says so, else English.

    >>> _language("猫"), _language("Cat")
    ('zh', 'en')
    """
    return "zh" if any("\u4e00" <= letter <= "\u9fff" for letter in title) else "en"
