"""Who predicts better what a new reader will like: collaborative vectors or content; and Spark's ALS beside implicit's.

``python -m benchmarks.collaborative --data FOLDER [--iterations 10] [--rank 64]`` with the classics'
``ratings_partial.parquet`` and ``books_10k.parquet``. A fifth of the readers is held out whole; of each, the first four
fifths of what they read (in order) are known and the rest is asked for: recall@10 among all books not known. Times are of
learning on the other readers, seconds and processor seconds, JVM start apart. Where ``implicit`` is not installed, it is left
out and said so. Writes RESULTS.md.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix
from scipy.sparse.linalg import svds

from benchmarks.results import write_section
from icg_tasks.config.features import FactorSettings
from icg_tasks.config.settings import SparkSettings
from icg_tasks.features.collaborative import learn_factors, recall_at, user_factors
from icg_tasks.spark_session import spark_session

_LENGTH = 10
_LEAST_BOOKS = 10
_MAX_READERS = 4_000
_MIN_RATING = 3

Floats = NDArray[np.float64]
Rows = list[NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class Readings:
    """Learning readers as a sparse matrix [U, I]; of held-out readers what is known and what is asked for."""

    books: NDArray[np.int64]
    learned_UI: csr_array
    known: Rows
    wanted: Rows


def read(folder: Path) -> Readings:
    """Ratings of 3 or more, or whose value is not known, count as likes."""
    table = pq.read_table(folder / "ratings_partial.parquet", columns=["user_id", "item_id", "rating", "order"])
    rating = table["rating"].fill_null(_MIN_RATING).to_numpy()
    order = table["order"].fill_null(0).to_numpy()
    kept = np.flatnonzero(rating >= _MIN_RATING)
    kept = kept[np.lexsort((order[kept], table["user_id"].to_numpy()[kept]))]
    users, items = table["user_id"].to_numpy()[kept].astype(np.int64), table["item_id"].to_numpy()[kept].astype(np.int64)
    books, item_N = np.unique(items, return_inverse=True)
    held_N = (users * 2_654_435_761 % 2**32) % 5 == 0
    readers, user_N = np.unique(users[~held_N], return_inverse=True)
    learned = csr_array((np.ones(len(user_N)), (user_N, item_N[~held_N])), shape=(len(readers), len(books)))
    learned.data[:] = 1.0
    starts = np.flatnonzero(np.diff(users[held_N], prepend=-1))
    lists = [np.asarray(rows) for rows in np.split(item_N[held_N], starts[1:]) if len(rows) >= _LEAST_BOOKS][:_MAX_READERS]
    cuts = [len(rows) * 4 // 5 for rows in lists]
    return Readings(
        books=books,
        learned_UI=learned,
        known=[rows[:cut] for rows, cut in zip(lists, cuts, strict=True)],
        wanted=[np.setdiff1d(rows[cut:], rows[:cut]) for rows, cut in zip(lists, cuts, strict=True)],
    )


def by_spark(readings: Readings, settings: FactorSettings) -> tuple[Floats, float, float]:
    """Factors of all books (zeros where nobody learned about one), seconds, processor seconds."""
    with spark_session(SparkSettings(master="local[2]", driver_memory="2g"), "als") as spark:
        pairs = readings.learned_UI.tocoo()
        numbers = {"user": pairs.row.astype(np.int32), "item": pairs.col.astype(np.int32)}
        likes = spark.createDataFrame(pa.table(numbers | {"strength": np.ones(pairs.nnz, np.float32)})).repartition(4).persist()
        likes.count()
        (ids, found), seconds, processor = timed(lambda: learn_factors(likes, settings))
    factors = np.zeros((len(readings.books), settings.rank))
    factors[ids] = found
    return factors, seconds, processor


def by_implicit(readings: Readings, settings: FactorSettings) -> tuple[Floats, float, float]:
    """The same of implicit's ALS, its own conjugate gradients, as many threads as Spark has.

    Its confidence of a like is alpha itself where Spark's is 1 + alpha; its regularisation is the same for all readers where
    Spark's grows with their likes, so it gets Spark's for a reader of average length.
    """
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=settings.rank,
        regularization=settings.regularisation * readings.learned_UI.nnz / readings.learned_UI.shape[0],
        alpha=1.0 + settings.alpha,
        iterations=settings.iterations,
        random_state=settings.seed,
        num_threads=2,
        use_cg=True,
    )
    matrix = csr_matrix(readings.learned_UI, dtype=np.float32)
    _, seconds, processor = timed(lambda: model.fit(matrix, show_progress=False))
    return np.asarray(model.item_factors, dtype=np.float64), seconds, processor


def by_content(readings: Readings, folder: Path, width: int) -> Floats:
    """Words of title and authors, by rarity, in as few dimensions."""
    table = pq.read_table(folder / "books_10k.parquet", columns=["item_id", "title", "authors"])
    row_of = {int(book): row for row, book in enumerate(readings.books.tolist())}
    rows, words = [], []
    for item, title, authors in zip(*(table[name].to_pylist() for name in ("item_id", "title", "authors")), strict=True):
        found = {word for word in f"{title} {authors}".lower().replace(",", " ").split() if len(word) > 2}
        if item in row_of:
            rows += [row_of[item]] * len(found)
            words += sorted(found)
    names, column = np.unique(words, return_inverse=True)
    rarity = np.log(len(row_of) / np.bincount(column))
    matrix = csr_matrix((rarity[column], (rows, column)), shape=(len(row_of), len(names)))
    left, values, _ = svds(matrix, k=width, v0=np.ones(min(matrix.shape)))
    vectors = left * values
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """A result with seconds and processor seconds of this process and those below it."""
    began, spent = time.perf_counter(), _processor()
    found = work()
    return found, time.perf_counter() - began, _processor() - spent


def _processor() -> float:
    everyone = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(process.cpu_times()[:4]) for process in everyone)


def sums_of(items_IR: Floats, known: Sequence[NDArray[np.int64]], popular_I: Floats) -> Floats:
    """Users as everything here makes them: sums of item vectors, each above what everybody reads, as scores of all books."""
    mean_R = popular_I @ items_IR / popular_I.sum()
    return np.stack([(items_IR[rows] - mean_R).mean(axis=0) for rows in known]) @ items_IR.T


def main() -> None:
    """Learn, predict, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=10)
    arguments = parser.parse_args()
    settings = FactorSettings(rank=arguments.rank, iterations=arguments.iterations)
    readings = read(arguments.data)
    popular = np.asarray(readings.learned_UI.sum(axis=0), dtype=np.float64).ravel()
    rows = [("popularity", "–", "–", recall(np.tile(popular, (len(readings.known), 1)), readings))]
    content = by_content(readings, arguments.data, arguments.rank)
    rows.append(
        ("content (title and author words), sums", "–", "–", recall(sums_of(content, readings.known, popular), readings))
    )
    learners = {"Spark ALS": by_spark}
    if importlib.util.find_spec("implicit") is not None:
        learners["implicit ALS"] = by_implicit
    for name, learn in learners.items():
        items, seconds, processor = learn(readings, settings)
        solved = user_factors(items, readings.known, settings) @ items.T
        rows.append((f"{name}, readers solved for", f"{seconds:.1f}", f"{processor:.1f}", recall(solved, readings)))
        rows.append((f"{name}, readers as sums", "", "", recall(sums_of(items, readings.known, popular), readings)))
    note = "" if len(learners) == 2 else "\n\nThe package implicit is not installed here and was left out."
    pairs = readings.learned_UI.nnz
    head = (
        f"{pairs:,} likes of {readings.learned_UI.shape[0]:,} readers and {len(readings.books):,} books to learn from; "
        f"{len(readings.known):,} other readers to predict for. Rank {settings.rank}, {settings.iterations} iterations.\n\n"
        f"| vectors | seconds | processor s | recall@{_LENGTH} |\n|---|---|---|---|\n"
    )
    table = "\n".join(f"| {name} | {seconds} | {processor} | {found:.4f} |" for name, seconds, processor, found in rows)
    write_section("Collaborative vectors", head + table + note)


def recall(scores_UI: Floats, readings: Readings) -> float:
    """recall@10 of readers of whom something is asked."""
    return recall_at(scores_UI, readings.known, readings.wanted, _LENGTH)


if __name__ == "__main__":
    main()
