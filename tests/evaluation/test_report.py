import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from icg_tasks.config import Settings, load_settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.schemas import QUARANTINE
from icg_tasks.evaluation.arms import (
    ALL_METRICS,
    ARMS,
    BEST,
    LOOKS,
    METRICS,
    OWN,
    PAIR_METRICS,
    PERSONAL,
    PERSONAL_BEST,
    PLAIN,
    PROBABILITY,
)
from icg_tasks.evaluation.report import run
from icg_tasks.evaluation.report_measures import measures
from icg_tasks.evaluation.report_words import METRIC_MEANS, METRIC_WORDS
from icg_tasks.evaluation.table import Resampling, gain_rows, in_order, share_rows, table_rows
from icg_tasks.lake.partitions import write_partition
from icg_tasks.lake.registry import publish_version, set_champion
from icg_tasks.lake.store import ObjectStore
from icg_tasks.stage import StageContext
from tests.evaluation.conftest import DAY, png, publish, put_json

Made = Callable[..., StageContext]
PREFIX = f"reports/ds={DAY.isoformat()}"


def evaluated(store: ObjectStore, lived: dict[str, Any], num_items: int = 8) -> None:
    """An evaluation of the lived day with made-up figures, in the form that the stage writes."""
    rng = np.random.default_rng(1)
    items, segments = lived["items"][-num_items:], [row["segment_id"] for row in lived["segments"]]
    pairs = []
    for number, segment in enumerate(segments):
        for item in items:
            images = {}
            for arm in (OWN, PLAIN, PERSONAL, PERSONAL_BEST):
                tint = np.uint8(30 * number) if arm.startswith("pers") else np.uint8(0)
                data = png(item.draw() // 2 + tint)
                images[arm] = f"{PREFIX}/evaluation/{segment}-{item.item_id}-{arm}.png"
                store.put(images[arm], data)
            pairs.append({"segment_id": segment, "item_id": item.item_id, "images": images, "values": {}})
    better = dict(zip(ARMS, (0.0, 0.1, 0.5, 0.9, 1.2, 0.05, 1.6), strict=True))
    values = {(arm, metric): better[arm] + rng.normal(scale=0.3, size=len(pairs)) for arm in ARMS for metric in PAIR_METRICS}
    values |= {(arm, PROBABILITY): 0.13 + 0.05 * better[arm] + rng.normal(scale=0.02, size=len(pairs)) for arm in ARMS}
    resampling = Resampling.over(len(pairs), 200, 1)
    whole = [
        {"arm": arm, "metric": metric, "mean": 3 + (arm == BEST), "low": 2.0, "high": 4.0, "n": num_items}
        for arm in ARMS
        for metric in sorted(set(ALL_METRICS) - set(PAIR_METRICS))
    ]
    put_json(store, f"{PREFIX}/evaluation.json", in_order([*table_rows(values, resampling), *whole]))
    detail = {
        "segments": [{"segment_id": row["segment_id"], "size": row["size"]} for row in lived["segments"]],
        "items": [{"item_id": item.item_id, "title": item.title} for item in items],
        "pairs": pairs,
        "gains": gain_rows(values, resampling),
        "shares": share_rows(values, resampling, METRICS[:2]),
        "notes": ["Made of made-up figures."],
    }
    put_json(store, f"{PREFIX}/evaluation_detail.json", detail)


def whole_day(store: ObjectStore, settings: Settings, lived: dict[str, Any]) -> None:
    publish(store, settings, lived)
    evaluated(store, lived)
    for number, stage in enumerate(("validate-items", "train-adapter", "publish-covers")):
        line = {"stage": stage, "run_date": str(DAY), "seconds": 2.5 * number + 1, "outputs": [], "counts": {"rows": 7}}
        put_json(store, keys.stage_run_key(stage, DAY), {**line, "figures": {"champion": "abc", "gain": 0.25}})
    rows = [
        {"row_number": n, "source": "raw", "reason": "unknown_item", "detail": "", "advice": "", "row_json": "{}"}
        for n in range(3)
    ]
    write_partition(store, keys.QUARANTINE_ITEMS, DAY, [pa.Table.from_pylist(rows, schema=QUARANTINE)], schema=QUARANTINE)
    store.put(f"{keys.DATA_DOCS}/ds={DAY.isoformat()}/items/index.html", b"<html></html>")
    steps = np.arange(0, 61, 5)
    curves = [{"step": int(step), "preference": float(np.log1p(step)), "loss": -float(np.log1p(step))} for step in steps]
    checks = [{"step": step, "own": 0.1 * step, "broken": []} for step in (0, 30, 60)]
    set_champion(
        store,
        publish_version(store, "adapter", {}, {"curves": curves, "checks": checks, "reason": "a gain"}),
        DAY,
        reason="test",
    )
    auc = {
        name: {"auc": {"mean": mean, "low": mean - 0.01, "high": mean + 0.01}}
        for name, mean in (("model", 0.71), ("no_image", 0.66), ("item_popularity", 0.57), ("user_topic", 0.65))
    }
    bins = [{"rows": 9.0, "predicted": 0.05 * n, "seen": 0.05 * n + 0.004} for n in range(1, 8)]
    card = {"metrics": {"figures": auc}, "calibration": bins}
    set_champion(store, publish_version(store, "preference", {}, card), DAY, reason="test")


def _page(store: ObjectStore) -> str:
    return store.get(f"{PREFIX}/index.html").decode()


def test_a_whole_day_is_told_and_every_picture_and_link_is_there(
    context: Made, store: ObjectStore, settings: Settings, lived_day: dict[str, Any]
) -> None:
    whole_day(store, settings, lived_day)
    outcome = run(context())
    html = _page(store)
    pictures = set(re.findall(r'src="(images/[^"]+)"', html))
    assert len(pictures) > 20
    assert all(store.exists(f"{PREFIX}/{name}") for name in pictures)
    assert "http://" not in html
    assert "https://" not in html
    links = re.findall(r'href="(\.\./[^"#]+)"', html)
    assert [f"reports/{link[3:]}" for link in links] == [f"reports/data_docs/ds={DAY.isoformat()}/items/index.html"]
    for words in (
        "personalised, best of 8",
        "best achievable",
        "unknown item",
        "train-adapter",
        "preference",
        "item popularity",
        "By courtesy of nobody.",
    ):
        assert words in html, words
    assert html.count("<svg") >= 6
    written = {"index.html", "six_by_eight.png", "covers.html", "explore.js", "covers.js", "figures.json"}
    assert set(outcome.outputs) == {f"{PREFIX}/{name}" for name in written}


def test_every_metric_is_on_the_page_and_explained_in_words(
    context: Made, store: ObjectStore, settings: Settings, lived_day: dict[str, Any]
) -> None:
    whole_day(store, settings, lived_day)
    run(context())
    html = _page(store)
    for metric in ALL_METRICS:
        assert f'<th scope="col" class="n">{METRIC_WORDS[metric]}</th>' in html, metric
    for metric in ALL_METRICS[len(METRICS) + 1 :]:
        assert f"<dt>{METRIC_WORDS[metric]}</dt><dd>{METRIC_MEANS[metric]}</dd>" in html, metric
    assert '<a href="#measures">' in html
    assert "show 3 distinct looks, their best achievable ones show 4." in html


def test_where_nothing_was_looked_at_nothing_is_said_of_looks() -> None:
    assert measures([]) == ""
    row = {"arm": OWN, "metric": PROBABILITY, "mean": 0.1, "low": 0.0, "high": 0.2, "n": 3}
    assert measures([row]) == ""
    looks = measures([{**row, "arm": PERSONAL, "metric": LOOKS, "mean": 1.0}])
    assert "show 1 distinct look." in looks


def test_the_grid_has_a_row_per_segment_and_a_column_per_item(
    context: Made, store: ObjectStore, settings: Settings, lived_day: dict[str, Any]
) -> None:
    whole_day(store, settings, lived_day)
    run(context())
    path = store.local_path(f"{PREFIX}/six_by_eight.png")
    assert path is not None
    with Image.open(path) as sheet:
        assert sheet.size == (6 + 8 * 134, 6 + 3 * 134)
    html = _page(store)
    grid = html[html.index('class="grid8"') :]
    rows = re.findall(r"<b>([^<]+)</b> (\w+) · [\d,]+ users</div>", grid[: grid.index("</table>")])
    named = re.findall(r'<h3>\d+\. ([^<]+)</h3><span class="soft">(\w+) ·', html)
    assert len(rows) == 3
    assert set(rows) <= set(named)
    told = re.findall(r"impressions a day expected · ([^<]*?)(?: · <a|</span>)", html)
    assert told[:2] == [f"moved by {0.0125:.3f}", "new"]


def test_an_empty_day_still_gives_a_page_that_names_what_is_missing(context: Made, store: ObjectStore) -> None:
    outcome = run(context())
    html = _page(store)
    for words in ("no evaluation of this day", "no clean/items", "no adapter model", "no data docs", "closing line of"):
        assert words in html, words
    assert outcome.counts["missing_parts"] >= 6


def test_a_day_of_pigeons_shows_what_its_masks_keep_and_its_own_training(
    context: Made, settings: Settings, store: ObjectStore
) -> None:
    picture = np.zeros((136, 408, 3), dtype=np.uint8)
    card = {"reason": "score up", "curves": [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.5}], "checks": []}
    version = publish_version(store, "pigeon", {"config.json": b"{}", "masks.png": png(picture)}, card)
    set_champion(store, version, DAY, reason="test")
    run(context("report"))
    assert "What Pigeon looks at" not in store.get(f"{PREFIX}/index.html").decode()
    run(context("report", replace(settings, generator="pigeon")))
    page = store.get(f"{PREFIX}/index.html").decode()
    assert "What Pigeon looks at" in page
    assert f"Pigeon {version.version}" in page
    assert "no adapter model" not in page
    address = re.search(r'<img class="masks" src="(images/[^"]+)" alt="history masked', page).group(1)
    kept = Image.open(io.BytesIO(store.get(f"{PREFIX}/{address}")))
    assert kept.size == (408, 136)  # in its own size: a patch is a few pixels wide


def test_a_damaged_cover_costs_its_own_place_only(
    context: Made, store: ObjectStore, settings: Settings, lived_day: dict[str, Any]
) -> None:
    whole_day(store, settings, lived_day)
    shown = lived_day["items"][-10]
    store.put(f"{keys.IMAGES_RAW}/{shown.image_name}", b"\x89PNG not any more")
    run(context())
    assert _page(store).count("picture could not be read") == 3


@pytest.mark.parametrize(("source", "words"), [("classics", "never saw these covers"), ("platform", "needs an online test")])
def test_other_sources_are_not_sold_as_a_taste_in_looks(context: Made, store: ObjectStore, source: str, words: str) -> None:
    run(context(chosen=load_settings("tiny", [f"source={source}"])))
    assert words in _page(store)


def test_text_from_outside_cannot_become_markup(
    context: Made, store: ObjectStore, settings: Settings, lived_day: dict[str, Any]
) -> None:
    whole_day(store, settings, lived_day)
    line = json.loads(store.get(keys.stage_run_key("validate-items", DAY)))
    put_json(store, keys.stage_run_key("validate-items", DAY), {**line, "figures": {"note": "<script>alert(1)</script>"}})
    run(context())
    assert "<script>" not in _page(store)


def test_pictures_of_an_earlier_run_go(
    context: Made, store: ObjectStore, settings: Settings, lived_day: dict[str, Any]
) -> None:
    whole_day(store, settings, lived_day)
    store.put(f"{PREFIX}/images/stale.png", b"old")
    run(context())
    assert not store.exists(f"{PREFIX}/images/stale.png")
