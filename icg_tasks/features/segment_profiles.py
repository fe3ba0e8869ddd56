"""What a segment is shown and what it likes: expected traffic, its items by traffic, a representative history.

Sums run in Spark and are exact; a few dozen items per segment come to the driver. Tables with a row per item or segment are
broadcast; those with a row per user never are. Knows columns; neither paths nor dates beyond ``ds``.
Legend: I items, V vector width.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as sql

from icg_tasks.features.exact_sums import WEIGHT_BITS, vector_matrix
from icg_tasks.features.matching import Floats, Ints, Match
from icg_tasks.features.spark_partitions import DAY

TRAFFIC_PRIOR = 20.0
"""Impressions of its share of everybody's that stand behind a segment's own count of an item."""
LIFT_PRIOR = 2.0
"""Information (sum of p(1 - p)) that speaks for an item being clicked no more than expected."""
_LIKED_PER_PLACE = 6
_UNIT = float(2**WEIGHT_BITS)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Impressions a day, item ids by expected traffic, and the item ids its users clicked most above expectation."""

    expected_traffic: float
    top_items: list[str]
    history: list[str]


def segment_profiles(
    residuals: DataFrame,
    members: DataFrame,
    catalogue: DataFrame,
    vectors: DataFrame,
    *,
    decay_of_day: Mapping[str, float],
    num_top: int,
    history_length: int,
    width: int,
) -> dict[str, Profile]:
    """The profile of each segment that was shown anything.

    Args:
        residuals: rows of user_vectors.residual_rows.
        members: user_id, segment_id.
        catalogue: item_id of the items that may be listed.
        vectors: item_id, vector of ``width``.
        decay_of_day: how much each day counts, by its text.
        num_top: most items by traffic.
        history_length: most items of a history.
        width: V.
    """
    seen = segment_items(residuals, members, decay_of_day).persist()
    traffic = seen.groupBy("segment_id").agg(sql.sum("raw").alias("raw")).collect()
    num_liked = history_length * _LIKED_PER_PLACE
    listed = seen.join(sql.broadcast(catalogue), "item_id")
    ranked = ranked_items(listed, num_top, num_liked).toArrow()
    rows: list[dict[str, Any]] = ranked.sort_by([("segment_id", "ascending"), ("item_id", "ascending")]).to_pylist()
    liked = [row for row in rows if row["lift_rank"] <= num_liked and row["lift"] > 0]
    known = (
        vectors.join(sql.broadcast(_ids(vectors, [row["item_id"] for row in liked])), "item_id").toArrow().sort_by("item_id")
    )
    matrix = vector_matrix(known["vector"], width)
    centred = dict(zip(known["item_id"].to_pylist(), matrix - matrix.mean(axis=0), strict=True)) if len(known) else {}
    days = sum(decay_of_day.values())
    return {
        row["segment_id"]: Profile(
            expected_traffic=round(row["raw"] / days, 6),
            top_items=_top([line for line in rows if line["segment_id"] == row["segment_id"]], num_top),
            history=_history([line for line in liked if line["segment_id"] == row["segment_id"]], centred, history_length),
        )
        for row in traffic
    }


def segment_rows(
    sizes_K: Ints, centroids_KV: Floats, matches: list[Match], described: Mapping[str, Profile]
) -> list[dict[str, Any]]:
    """Rows of SEGMENTS, by id: groups with their names and profiles, ranked by traffic."""
    nothing = Profile(expected_traffic=0.0, top_items=[], history=[])
    rows = [
        {
            "segment_id": match.segment_id,
            "size": int(size),
            "centroid": centroid.astype(np.float32),
            "matched_from": match.matched_from,
            "drift": None if match.drift is None else round(match.drift, 9),
            **asdict(described.get(match.segment_id, nothing)),
        }
        for match, size, centroid in zip(matches, sizes_K, centroids_KV, strict=True)
    ]
    for rank, row in enumerate(sorted(rows, key=lambda row: (-row["expected_traffic"], row["segment_id"]))):
        row["rank"] = rank
    return sorted(rows, key=lambda row: str(row["segment_id"]))


def segment_items(residuals: DataFrame, members: DataFrame, decay: Mapping[str, float]) -> DataFrame:
    """What each segment was shown and clicked, per item, decayed by day.

    Args:
        residuals: rows of user_vectors.residual_rows.
        members: user_id, segment_id.
        decay: how much each day counts, by its text.

    Returns:
        segment_id, item_id, shown (impressions a day since the item appeared, as far as decayed), raw (decayed impressions),
        residual and information of impressions that showed the item's own cover. Sums are exact.
    """
    weight = sql.lit(0)
    for day, share in decay.items():
        weight = sql.when(sql.col(DAY) == day, sql.lit(round(share * _UNIT))).otherwise(weight)
    rows = residuals.withColumn("decay", weight).join(members, "user_id")
    sums = rows.groupBy("segment_id", "item_id").agg(
        (sql.sum("decay") / _UNIT).alias("raw"),
        (sql.sum(sql.col("residual") * sql.col("decay")) / _UNIT**2).alias("residual"),
        (sql.sum(sql.col("information") * sql.col("decay")) / _UNIT**2).alias("information"),
    )
    since = residuals.groupBy("item_id").agg(sql.min(DAY).alias("first_day"))
    daily = sql.round(sql.col("raw") / _days_since(decay) * _UNIT) / _UNIT  # multiples of 2^-20 add up exactly
    shown = sql.greatest(daily, sql.lit(1 / _UNIT))
    return sums.join(sql.broadcast(since), "item_id").withColumn("shown", shown).drop("first_day")


def ranked_items(items: DataFrame, num_top: int, num_liked: int) -> DataFrame:
    """Per segment the items with the highest expected traffic and those clicked most above expectation.

    Expected traffic leans on the segment's share of everybody's traffic as far as its own counts are few. Columns segment_id,
    item_id, traffic, traffic_rank, lift, lift_rank (ranks from 1; a row is here for at least one of them).
    """
    whole = items.groupBy("item_id").agg(sql.sum("shown").alias("everybody"))
    shares = items.groupBy("segment_id").agg(sql.sum("shown").alias("mine"))
    total = items.agg(sql.sum("shown").alias("all"))
    rows = items.join(sql.broadcast(whole), "item_id").join(sql.broadcast(shares), "segment_id").crossJoin(sql.broadcast(total))
    fair = sql.col("everybody") * sql.col("mine") / sql.greatest(sql.col("all"), sql.lit(1e-9))
    traffic = fair * (sql.col("raw") + TRAFFIC_PRIOR) / (fair * sql.col("raw") / sql.col("shown") + TRAFFIC_PRIOR)
    lift = sql.col("residual") / (sql.col("information") + LIFT_PRIOR)
    scored = rows.select("segment_id", "item_id", sql.round(traffic, 9).alias("traffic"), sql.round(lift, 9).alias("lift"))
    ranked = scored.withColumn("traffic_rank", _rank("traffic")).withColumn("lift_rank", _rank("lift"))
    return ranked.where((sql.col("traffic_rank") <= num_top) | (sql.col("lift_rank") <= num_liked))


def diverse_history(item_ids: list[str], lifts: list[float], vectors_IV: NDArray[np.floating], length: int) -> list[str]:
    """The most liked items that are not all alike: each next one by lift less its likeness to those already chosen.

    ``vectors_IV`` are the items' vectors about the catalogue's mean. Ties go to the smaller item id.
    """
    unit_IV = vectors_IV / np.maximum(np.linalg.norm(vectors_IV, axis=1, keepdims=True), 1e-12)
    top = max([*lifts, 1e-9])
    chosen: list[int] = []
    left = sorted(range(len(item_ids)), key=lambda row: item_ids[row])
    while left and len(chosen) < length:
        likeness = (unit_IV[left] @ unit_IV[chosen].T).max(axis=1) if chosen else np.zeros(len(left))
        worth = np.array([lifts[row] for row in left]) / top - 0.5 * likeness
        chosen.append(left.pop(int(np.argmax(np.round(worth, 9)))))
    return [item_ids[row] for row in chosen]


def _ids(beside: DataFrame, item_ids: list[str]) -> DataFrame:
    return beside.sparkSession.createDataFrame([(item_id,) for item_id in sorted(set(item_ids))], "item_id string")


def _top(rows: list[dict[str, Any]], length: int) -> list[str]:
    return [row["item_id"] for row in sorted(rows, key=lambda row: int(row["traffic_rank"])) if row["traffic_rank"] <= length]


def _history(rows: list[dict[str, Any]], centred: dict[str, Any], length: int) -> list[str]:
    rows = [row for row in rows if row["item_id"] in centred]
    if not rows:
        return []
    vectors_IV = np.stack([centred[row["item_id"]] for row in rows])
    return diverse_history([row["item_id"] for row in rows], [row["lift"] for row in rows], vectors_IV, length)


def _rank(column: str) -> Column:
    return sql.row_number().over(Window.partitionBy("segment_id").orderBy(sql.col(column).desc(), sql.col("item_id")))


def _days_since(decay: Mapping[str, float]) -> Column:
    """Decayed number of days from ``first_day`` on."""
    expression = sql.lit(1.0)
    for first in decay:
        days = sum(share for day, share in decay.items() if day >= first)
        expression = sql.when(sql.col("first_day") == first, sql.lit(max(days, 1e-9))).otherwise(expression)
    return expression
