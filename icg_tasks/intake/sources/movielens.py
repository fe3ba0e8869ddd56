"""movielens: ratings of any MovieLens set (small, 100K, 1M … 32M) with posters of one's own, as raw data sets.

``--path`` is the unpacked folder: ``ratings.csv`` and ``movies.csv``, or the older ``ratings.dat`` and ``movies.dat`` (``::``,
latin-1), or ``u.data`` and ``u.item``. MovieLens has no pictures: posters lie beside as ``<movieId>.jpg`` (in ``posters``,
``covers``, ``images`` or the folder itself); films without one stay out and are counted. A rating of any value is a click. An
absent pair means "unknown": non-clicks are drawn (``streamed``). Does not know impressions' other columns.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import pyarrow as pa

from icg_tasks.config.settings import Settings
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.intake.sources.catalogue import Listed, items_table, pictures
from icg_tasks.intake.sources.csv_stream import TextFile, read_batches
from icg_tasks.intake.sources.laid_out import window
from icg_tasks.intake.sources.outside import Bench, OutsideData
from icg_tasks.intake.sources.timed import timed_data

ATTRIBUTION = (
    "Ratings and titles: MovieLens, F. Maxwell Harper and Joseph A. Konstan, 2015, GroupLens Research, University of "
    "Minnesota; for research, with acknowledgement, not to be redistributed without permission (see the README of the set). "
    "Days and non-clicks made by this ingest."
)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How one generation of the sets is packed: the files, and their columns under this module's names."""

    ratings: str
    movies: str
    delimiter: str = ","
    double: bytes = b""
    encoding: str = "utf8"
    rating_columns: tuple[str, ...] = ()  # empty: a header line says userId, movieId, rating, timestamp
    movie_columns: tuple[str, ...] = ()
    movie_delimiter: str = ","


_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
_COLUMNS = ("userId", "movieId", "rating", "timestamp")
LAYOUTS = (
    Layout(ratings="ratings.csv", movies="movies.csv"),
    Layout(
        ratings="ratings.dat",
        movies="movies.dat",
        delimiter="\t",
        double=b"::",
        encoding="latin-1",
        rating_columns=_COLUMNS,
        movie_columns=("movieId", "title", "genres"),
        movie_delimiter="\t",
    ),
    Layout(
        ratings="u.data",
        movies="u.item",
        delimiter="\t",
        encoding="latin-1",
        rating_columns=_COLUMNS,
        movie_columns=("movieId", "title", "released", "video", "address", *_GENRES),
        movie_delimiter="|",
    ),
)


def read_movielens(folder: Path, last_day: date, settings: Settings, bench: Bench) -> OutsideData:
    """The window ending with ``last_day``; raises DataMissing, DataCorrupt."""
    days = window(last_day, settings, "movielens")
    layout = _layout(folder)
    images = pictures(folder, "movielens", ("posters", "covers", "images", "."))
    listed = [film for film in _films(folder / layout.movies, layout) if film.name in images.files]
    file = TextFile(
        path=folder / layout.ratings,
        delimiter=layout.delimiter,
        double=layout.double,
        encoding=layout.encoding,
        names=layout.rating_columns,
        quoted=not layout.double,
    )
    return timed_data(
        "movielens",
        settings,
        bench,
        days=days,
        read=partial(_ratings, file, bench),
        files=[folder / layout.ratings, folder / layout.movies],
        listed=listed,
        items=items_table(listed, "movielens", images, days[0]),
        images=images,
        attribution=ATTRIBUTION,
        user_name=lambda user: f"user-{user}",
        item_name=lambda item: f"movielens-{item}",
    )


def _layout(folder: Path) -> Layout:
    for layout in LAYOUTS:
        if (folder / layout.ratings).is_file():
            return layout
    raise DataMissing(
        f"no {', '.join(layout.ratings for layout in LAYOUTS)} in {folder}; --path must be an unpacked MovieLens set"
    )


def _ratings(file: TextFile, bench: Bench, what: str) -> Iterator[pa.RecordBatch]:
    """Columns user, item, timestamp."""
    progress = bench.progress(f"movielens: {what}", file.path.stat().st_size if file.path.is_file() else 0)
    columns = dict.fromkeys(("userId", "movieId", "timestamp"), pa.int64())
    for batch in read_batches(file, columns, progress.add):
        yield pa.RecordBatch.from_arrays(batch.columns, names=["user", "item", "timestamp"])
    progress.end()


def _films(path: Path, layout: Layout) -> Iterator[Listed]:
    """Every film; the year that ends a title is left out of it, the category is the first genre."""
    flags = _GENRES if "unknown" in layout.movie_columns else ()
    columns = {
        "movieId": pa.int64(),
        "title": pa.string(),
        **({name: pa.string() for name in flags} or {"genres": pa.string()}),
    }
    file = TextFile(
        path=path,
        delimiter=layout.movie_delimiter,
        double=layout.double,
        encoding=layout.encoding,
        names=layout.movie_columns,
        quoted=layout.movie_delimiter == ",",
    )
    for batch in read_batches(file, columns):
        for row in batch.to_pylist():
            genres = [name for name in flags if row[name] == "1"] or (row.get("genres") or "").split("|")
            genre = next((name for name in genres if name and not name.startswith("(")), "Unknown")
            yield Listed(name=str(row["movieId"]), title=_without_year(row["title"] or ""), category=genre, language="en")


def _without_year(title: str) -> str:
    """The title alone.

    >>> _without_year("Toy Story (1995)"), _without_year("(500) Days of Summer (2009)"), _without_year("1984")
    ('Toy Story', '(500) Days of Summer', '1984')
    """
    bare, _, year = title.strip().rpartition(" (")
    return bare.strip() if bare and year.rstrip(")").isdigit() and year.endswith(")") else title.strip()
