import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from icg_tasks.config import Settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataMissing, Interrupted, SettingsError
from icg_tasks.contracts.holdout import is_held_out_item, is_held_out_user
from icg_tasks.contracts.schemas import SEGMENTS
from icg_tasks.covers.engine import CoverRequest, GeneratedCover
from icg_tasks.covers.scorer import CoverScorer
from icg_tasks.covers.versions import ModelVersions
from icg_tasks.evaluation import arms as names
from icg_tasks.evaluation.arms import ARMS, BEST, LOGIT, METRICS, OWN, PERSONAL, PLAIN, SUBJECT, SWAPPED, HeldOutItem, Segment
from icg_tasks.evaluation.evaluate import read_segments, run
from icg_tasks.evaluation.making import ItemImages, Studio
from icg_tasks.evaluation.report import run as report
from icg_tasks.evaluation.report_words import METRIC_WORDS
from icg_tasks.lake.partitions import write_partition
from icg_tasks.lake.store import ObjectStore
from icg_tasks.models.preference.model import PreferenceModel
from icg_tasks.models.preference.network import PreferenceConfig, PreferenceNetwork
from icg_tasks.models.rewards.context import RewardModels
from icg_tasks.stage import StageContext
from icg_tasks.world.attributes import CoverAttributes, all_looks
from icg_tasks.world.drawing import draw_cover
from tests.evaluation.conftest import DAY, best_look, png

Made = Callable[..., StageContext]
PREFIX = f"reports/ds={DAY.isoformat()}"


class Painter:
    """An engine that obeys perfectly: entry 0 of the user vector is the number of the look to draw, zero vector = the first."""

    versions = ModelVersions(generator="painter", adapter="a", preference="p", denoiser="d", backbones="b")

    def __init__(self, subjects: dict[str, str], scorer: CoverScorer) -> None:
        self.subjects, self.scorer = subjects, scorer

    def generate(self, requests: Sequence[CoverRequest]) -> list[GeneratedCover]:
        covers = []
        for request in requests:
            look = 0 if request.user_vector is None else round(float(request.user_vector[0]) * len(all_looks()))
            attributes = CoverAttributes(subject=self.subjects[request.item_id], look=all_looks()[look])
            image = draw_cover(attributes, seed=request.seed % 10_000)
            nobody = np.zeros((1, self.scorer.user_width), dtype=np.float32)
            judged = self.scorer.judge(image[None], self.scorer.title(request.title), torch.from_numpy(nobody))[0]
            covers.append(
                GeneratedCover(
                    item_id=request.item_id,
                    image=image,
                    vector=judged.vector,
                    seed=request.seed,
                    candidate=0,
                    preference=judged.preference,
                    relevance=judged.relevance,
                    aesthetic=judged.aesthetic,
                    rejected=None,
                )
            )
        return covers


@pytest.fixture(scope="module")
def judges() -> tuple[CoverScorer, PreferenceModel]:
    from icg_tasks.config import load_settings

    rewards = RewardModels.load(load_settings("tiny").backbones, None)
    network = PreferenceNetwork(PreferenceConfig(width=rewards.encoder.embedding_width, rank=4, num_slots=2)).eval()
    model = PreferenceModel(network=network, encoder=rewards.encoder.identity, score_mean=0.0, score_deviation=1.0)
    return CoverScorer(rewards, model), model


@pytest.fixture
def painted(
    monkeypatch: pytest.MonkeyPatch,
    judges: tuple[CoverScorer, PreferenceModel],
    store: ObjectStore,
    settings: Settings,
    lived_day: dict[str, Any],
) -> dict[str, Any]:
    """The lived day with segment vectors that ask for their users' best look, and the painter as the day's engine."""
    scorer, model = judges
    rows = []
    for row in lived_day["segments"]:
        centroid = [0.0] * scorer.user_width
        centroid[0] = best_look(lived_day, row["segment_id"]) / len(all_looks())
        rows.append({**row, "centroid": centroid})
    write_partition(store, keys.SEGMENTS, DAY, [pa.Table.from_pylist(rows, schema=SEGMENTS)], schema=SEGMENTS)
    subjects = {item.item_id: item.attributes.subject for item in lived_day["items"]}
    painter = Painter(subjects, scorer)
    monkeypatch.setattr(Studio, "load", lambda context: Studio(context, painter, scorer, model))
    return lived_day


def _rows(store: ObjectStore) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["arm"], row["metric"]): row for row in json.loads(store.get(f"{PREFIX}/evaluation.json"))}


def test_a_perfect_generator_reaches_what_is_achievable_and_swapping_undoes_it(
    context: Made, store: ObjectStore, painted: dict[str, Any]
) -> None:
    outcome = run(context("evaluate"))
    found = _rows(store)
    without_looks = {(arm, metric) for arm in ARMS for metric in names.ALL_METRICS if metric != names.LOOKS}
    looks = {(arm, names.LOOKS) for arm in (PLAIN, PERSONAL)}  # each catalogue look is drawn once here: no ideals to count
    assert set(found) - {(arm, names.HELD_OUT_LOGIT) for arm in ARMS} == (without_looks | looks) - {
        (arm, names.HELD_OUT_LOGIT) for arm in ARMS
    }
    assert all(row["low"] <= row["mean"] <= row["high"] for row in found.values())
    logit = {arm: found[arm, LOGIT]["mean"] for arm in ARMS}
    assert logit[BEST] >= max(logit.values())
    assert logit[PERSONAL] > logit[BEST] - 0.1
    assert logit[PERSONAL] > max(logit[OWN], logit[PLAIN], logit[SWAPPED]) + 0.5
    assert all(found[arm, SUBJECT]["mean"] > 0.95 for arm in ARMS)
    assert found[PERSONAL, LOGIT]["n"] == outcome.counts["pairs"] == 12
    share = next(row for row in outcome.figures["share_of_achievable"] if row["arm"] == PERSONAL and row["metric"] == LOGIT)
    assert 0.9 < share["mean"] <= 1.0


def test_image_metrics_and_held_out_users_are_what_these_arms_must_give(
    context: Made, store: ObjectStore, painted: dict[str, Any]
) -> None:
    run(context("evaluate"))
    mean = {name: row["mean"] for name, row in _rows(store).items()}
    assert mean[OWN, names.MS_SSIM] == pytest.approx(1.0)
    assert mean[OWN, names.TOWER_DISTANCE] == 0.0
    assert all(mean[arm, names.TOWER_DISTANCE] > 0.05 for arm in ARMS if arm != OWN)
    assert all(mean[arm, names.DIVERSITY_USERS] == 0.0 for arm in (OWN, PLAIN))
    assert all(mean[arm, names.DIVERSITY_USERS] > 0.1 for arm in (PERSONAL, SWAPPED, BEST))
    assert all(0.5 < mean[arm, names.NEAREST] <= 1.0 for arm in ARMS)
    assert mean[PLAIN, names.LOOKS] == 1
    assert mean[PERSONAL, names.LOOKS] == 3
    assert mean[PERSONAL, names.KERNEL] > mean[OWN, names.KERNEL]  # everything in one look per segment
    detail = json.loads(store.get(f"{PREFIX}/evaluation_detail.json"))
    notes = " ".join(detail["notes"])
    for words in (
        "see by zoo:judge",
        "which no reward looks through",
        "of whom are held out",
        "Split by time",
        "over items",
        "not counted",
    ):
        assert words in notes, words
    page = store.get(f"{PREFIX}/evaluation.html").decode()
    assert "://" not in page
    assert all(f">{METRIC_WORDS[metric]}</th>" in page for metric in {metric for _, metric in mean})
    with_some = {
        segment.segment_id
        for segment in read_segments(context("evaluate"))
        if any(is_held_out_user(user) for user in segment.user_ids)
    }
    assert with_some
    for pair in detail["pairs"]:
        values = pair["values"][PERSONAL]
        assert (names.HELD_OUT_LOGIT in values) == (pair["segment_id"] in with_some)
        assert values.get(names.HELD_OUT_LOGIT, 0.0) != values[LOGIT]
    row = _rows(store)[PERSONAL, names.HELD_OUT_LOGIT]
    assert row["n"] == 4 * len(with_some)


def test_rivals_are_arms_of_the_same_table_drawn_from_the_same_seeds(
    context: Made, settings: Settings, store: ObjectStore, painted: dict[str, Any]
) -> None:
    asked = replace(settings, evaluation=replace(settings.evaluation, rivals="pigeon_stage_1", items_per_segment=2))
    outcome = run(context("evaluate", asked))
    found = _rows(store)
    for rival, own in (("pigeon_stage_1", PERSONAL), ("pigeon_stage_1_best_of_8", names.PERSONAL_BEST)):
        for metric in (LOGIT, SUBJECT, names.MS_SSIM):
            assert {**found[rival, metric], "arm": own} == found[own, metric]  # one painter draws both
    gain = next(row for row in outcome.figures["gains"] if (row["arm"], row["against"]) == (PERSONAL, "pigeon_stage_1"))
    assert gain["mean"] == gain["low"] == gain["high"] == 0.0
    with pytest.raises(SettingsError, match=r"evaluation\.rivals names pgieon; expected some of icg, pigeon, pigeon_stage_1"):
        run(context("evaluate", replace(asked, evaluation=replace(asked.evaluation, rivals="pgieon"))))


def test_tastes_are_counted_where_the_catalogue_draws_each_look_twice(
    context: Made, settings: Settings, store: ObjectStore, painted: dict[str, Any]
) -> None:
    twice = replace(settings, evaluation=replace(settings.evaluation, catalogue_covers=512, items_per_segment=2))
    run(context("evaluate", twice))
    found = _rows(store)
    assert found[BEST, names.LOOKS]["mean"] == 3
    assert "number of distinct tastes" in store.get(f"{PREFIX}/evaluation.md").decode()


def test_a_tower_that_rewards_use_is_named_as_such(
    context: Made, settings: Settings, store: ObjectStore, painted: dict[str, Any]
) -> None:
    encoder = replace(settings, evaluation=replace(settings.evaluation, tower="", items_per_segment=2))
    run(context("evaluate", encoder))
    text = store.get(f"{PREFIX}/evaluation.md").decode()
    assert "a net that rewards look through too" in text
    assert "zoo:dual_encoder" in text


def test_one_item_alone_has_no_figures_of_whole_arms(
    context: Made, settings: Settings, store: ObjectStore, painted: dict[str, Any]
) -> None:
    run(context("evaluate", replace(settings, evaluation=replace(settings.evaluation, items_per_segment=1))))
    metrics = {metric for _, metric in _rows(store)}
    assert names.MS_SSIM in metrics
    assert metrics.isdisjoint({names.FRECHET, names.KERNEL, names.DIVERSITY_ITEMS, names.LOOKS})
    assert "One item only" in store.get(f"{PREFIX}/evaluation.md").decode()


def test_only_held_out_items_are_judged_and_the_best_is_never_below_the_own_cover(
    context: Made, store: ObjectStore, painted: dict[str, Any]
) -> None:
    run(context("evaluate"))
    detail = json.loads(store.get(f"{PREFIX}/evaluation_detail.json"))
    assert {item["item_id"] for item in detail["items"]} <= {
        item.item_id for item in painted["items"] if is_held_out_item(item.item_id)
    }
    for pair in detail["pairs"]:
        assert pair["values"][BEST][LOGIT] >= pair["values"][OWN][LOGIT]
        assert all(store.exists(key) for key in pair["images"].values())


def test_the_same_day_twice_is_the_same_bytes(context: Made, store: ObjectStore, painted: dict[str, Any]) -> None:
    run(context("evaluate"))
    before = {key: store.get(key) for key in store.list("reports/")}
    run(context("evaluate"))
    assert {key: store.get(key) for key in store.list("reports/")} == before


def test_without_a_world_truth_is_left_out_and_the_notes_say_why(
    context: Made, settings: Settings, store: ObjectStore, painted: dict[str, Any]
) -> None:
    run(context("evaluate", replace(settings, source="classics")))
    found = _rows(store)
    assert {metric for _, metric in found} == set(METRICS[3:]) | set(names.ALL_METRICS[7:])
    assert BEST not in {arm for arm, _ in found}
    assert "nobody knows the true click" in store.get(f"{PREFIX}/evaluation.md").decode()


def test_an_unreadable_cover_costs_that_item_only(
    context: Made, store: ObjectStore, painted: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run(context("evaluate"))
    first = json.loads(store.get(f"{PREFIX}/evaluation_detail.json"))["items"][0]["item_id"]
    store.put(f"{keys.IMAGES_RAW}/{first}.png", b"\x89PNG truncated")
    outcome = run(context("evaluate"))
    assert outcome.counts["items"] == 4
    assert f"item {first} is left out" in capsys.readouterr().err
    assert first not in {item["item_id"] for item in json.loads(store.get(f"{PREFIX}/evaluation_detail.json"))["items"]}


def test_the_report_shows_what_was_judged(context: Made, store: ObjectStore, painted: dict[str, Any]) -> None:
    run(context("evaluate"))
    report(context("report"))
    html = store.get(f"{PREFIX}/index.html").decode()
    assert "of the gain that is achievable at all" in html
    assert store.exists(f"{PREFIX}/six_by_eight.png")


def test_segments_are_read_with_their_own_users_busiest_first(context: Made, lived_day: dict[str, Any]) -> None:
    segments = read_segments(context("evaluate"))
    assert [segment.segment_id for segment in segments] == ["s00", "s01", "s02"]
    for segment in segments:
        mine = {
            user for user, name in zip(lived_day["users"], lived_day["segment_of"], strict=True) if name == segment.segment_id
        }
        assert set(segment.user_ids) == mine


def test_a_single_segment_is_not_enough(context: Made, settings: Settings, lived_day: dict[str, Any]) -> None:
    chosen = replace(settings, evaluation=replace(settings.evaluation, num_segments=1))
    with pytest.raises(DataMissing, match="at least two"):
        read_segments(context("evaluate", chosen))


def test_the_best_candidate_is_the_preferred_one_among_those_that_say_enough(
    judges: tuple[CoverScorer, PreferenceModel], context: Made, lived_day: dict[str, Any]
) -> None:
    scorer, model = judges
    studio = Studio(context("evaluate"), Painter({}, scorer), scorer, model)
    item = lived_day["items"][-1]
    held_out = HeldOutItem(item_id=item.item_id, title=item.title, image_bytes=png(item.draw()))
    own = studio.scored(studio.own_image(held_out), held_out)
    candidates = [studio.scored(other.draw(), held_out) for other in lived_day["items"][:6]]
    candidates = [replace(one, relevance=own.relevance) for one in candidates]
    segment = Segment(segment_id="s", user_ids=["u"], vector=np.zeros(scorer.user_width, dtype=np.float32))
    made = ItemImages(item=held_out, title_vector=scorer.title(item.title).numpy(), own=own, plain=[], personal=[])
    wish = candidates[4].vector
    with torch.no_grad():
        model.network.base_weight[: len(wish)].copy_(torch.from_numpy(wish))
    try:
        assert studio.best(segment, made, candidates) is candidates[4]
        off_topic = [*candidates[:4], replace(candidates[4], relevance=own.relevance - 10.0), candidates[5]]
        assert studio.best(segment, made, off_topic) is not off_topic[4]
    finally:
        with torch.no_grad():
            model.network.base_weight.zero_()


def test_a_stopped_evaluation_goes_on_and_ends_with_the_same_bytes(
    context: Made, store: ObjectStore, painted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(context("evaluate"))
    whole = {key: store.get(key) for key in store.list("reports/")}
    stopped = context("evaluate")
    for path in stopped.scratch("drawn").iterdir():
        path.unlink()
    draw, drawn = Studio.make, []

    def make(studio: Studio, item: HeldOutItem, segments: Sequence[Segment]) -> ItemImages:
        drawn.append(item.item_id)
        stopped.stop.raised = len(drawn) == 2
        return draw(studio, item, segments)

    monkeypatch.setattr(Studio, "make", make)
    with pytest.raises(Interrupted, match="2 items are drawn and kept"):
        run(stopped)
    run(context("evaluate"))
    assert len(drawn) == len(set(drawn)) == 4
    assert {key: store.get(key) for key in store.list("reports/")} == whole


def test_a_damaged_file_of_drawn_images_is_drawn_again(context: Made, store: ObjectStore, painted: dict[str, Any]) -> None:
    run(context("evaluate"))
    before = store.get(f"{PREFIX}/evaluation.json")
    kept = sorted(context("evaluate").scratch("drawn").iterdir())
    assert len(kept) == 4
    kept[0].write_bytes(kept[0].read_bytes()[:500])
    kept[1].write_bytes(b"")
    run(context("evaluate"))
    assert store.get(f"{PREFIX}/evaluation.json") == before
