"""Item vectors out of who liked what, beside content vectors and behind their contract: rows of ITEM_FEATURES.

Factors of implicit feedback (Hu, Koren and Volinsky 2008) by Spark's ALS. A user who was not there while they were learned is
solved for against them in closed form; or is a sum of item vectors like any user vector here. An item nobody liked has no
row: content vectors know new items, these do not. Legend: I items, R rank, U users, L likes of a user.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from icg_tasks.config.features import FactorSettings
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.schemas import ITEM_FEATURES
from icg_tasks.features.exact_sums import vector_array, vector_matrix
from icg_tasks.spark_session import is_local

Floats = NDArray[np.float64]


_BLOCKS = 2
"""Of users and of items. Partial sums of two come to the same in either order; those of more, in the order they arrive."""
_CHECKPOINT_EVERY = 2
"""Iterations after which ALS forgets how its factors came about: of ten, tasks are nested too deep for a thread's stack."""


def learn_factors(likes: DataFrame, settings: FactorSettings, num_blocks: int = _BLOCKS) -> tuple[list[int], Floats]:
    """Item numbers ascending and their factors [I, R] from rows (user int, item int, strength float above 0).

    On one machine two runs agree to the bit with at most two blocks. Elsewhere rows reach their block in the order of the
    network, so runs agree to rounding: write factors once.
    Raises DataMissing without rows.
    """
    from pyspark.ml.recommendation import ALS

    if likes.isEmpty():
        raise DataMissing("nobody liked anything in these days, so there are no collaborative vectors; use content vectors")
    als = ALS(
        rank=settings.rank,
        regParam=settings.regularisation,
        alpha=settings.alpha,
        maxIter=settings.iterations,
        seed=settings.seed,
        implicitPrefs=True,
        userCol="user",
        itemCol="item",
        ratingCol="strength",
        numUserBlocks=num_blocks,
        numItemBlocks=num_blocks,
        checkpointInterval=_CHECKPOINT_EVERY,
    )
    with _checkpoints(likes.sparkSession):
        factors = als.fit(likes).itemFactors.toArrow().sort_by("id")
    return factors["id"].to_pylist(), vector_matrix(factors["features"], settings.rank).astype(np.float64)


@contextmanager
def _checkpoints(session: SparkSession) -> Iterator[None]:
    """A place for ALS's intermediate factors: a folder of this machine; on a cluster what ``spark.checkpoint.dir`` names."""
    context = session.sparkContext
    if not is_local(session):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="icg-als-") as folder:
        context.setCheckpointDir(folder)
        yield


def user_factors(items_IR: Floats, liked: Sequence[NDArray[np.int64]], settings: FactorSettings) -> Floats:
    """Factors [U, R] of users by the rows of the items that each liked, strengths 1: the least squares of the same objective.

    Regularisation grows with a user's likes, as in Spark.
    """
    gram_RR = items_IR.T @ items_IR
    eye_RR = np.eye(items_IR.shape[1])
    found = np.zeros((len(liked), items_IR.shape[1]))
    for user, rows_L in enumerate(liked):
        if len(rows_L):
            mine_LR = items_IR[rows_L]
            left_RR = gram_RR + settings.alpha * mine_LR.T @ mine_LR + settings.regularisation * len(rows_L) * eye_RR
            found[user] = np.linalg.solve(left_RR, (1.0 + settings.alpha) * mine_LR.sum(axis=0))
    return found


def item_features(item_ids: Sequence[str], factors_IR: Floats, settings: FactorSettings, learned_from: str = "") -> pa.Table:
    """Factors as rows of ITEM_FEATURES, scaled so that the longest has length 1 (components stay within fixed point).

    ``learned_from`` names the clicks: factors of others are another space, and so another encoder.
    """
    longest = float(np.linalg.norm(factors_IR, axis=1).max(initial=0.0)) or 1.0
    vectors_IR = (factors_IR / longest).astype(np.float32)
    encoder = f"als-{hashlib.sha256(repr([*sorted(asdict(settings).items()), learned_from]).encode()).hexdigest()[:12]}"
    ids = pa.array(list(item_ids), pa.string())
    columns = [ids, ids, pa.array([encoder] * len(ids)), vector_array(vectors_IR)]
    return pa.Table.from_arrays(columns, schema=ITEM_FEATURES)


def recall_at(scores_UI: Floats, known: Sequence[NDArray[np.int64]], wanted: Sequence[NDArray[np.int64]], length: int) -> float:
    """Mean over users of the share of wanted items (at most ``length`` count) among their best unknown ones.

    >>> recall_at(np.array([[3.0, 2.0, 1.0]]), [np.array([0])], [np.array([1])], 1)
    1.0
    """
    shares = []
    for scores_I, seen, sought in zip(scores_UI, known, wanted, strict=True):
        left_I = scores_I.copy()
        left_I[seen] = -np.inf
        top = np.argsort(-left_I, kind="stable")[:length]
        shares.append(len(np.intersect1d(top, sought)) / min(len(sought), length))
    return float(np.mean(shares)) if shares else 0.0
