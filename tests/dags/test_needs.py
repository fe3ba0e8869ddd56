"""What pods are given: every stage of a day has a row, and a word in ICG_PODS that has no effect is an error."""

import json
from pathlib import Path

import pytest
from icg_dags.needs import NEEDS, PSEUDONYM_SECRET, read_pod_settings
from icg_dags.parts import PARTS, is_wanted

from icg_tasks.contracts import stages

SPARK = {stages.BUILD_USER_EMBEDDINGS, stages.ASSIGN_SEGMENTS}
DAY = {*stages.day_in_order("icg"), *stages.day_in_order("pigeon")}


def test_every_stage_of_a_day_is_described():
    assert set(NEEDS) >= DAY - SPARK


def test_only_stages_that_see_raw_ids_get_the_key():
    assert {stage for stage, needs in NEEDS.items() if PSEUDONYM_SECRET in needs.secrets} == {"validate-impressions", "erase"}


def test_given_settings_change_amounts_and_places():
    given = json.loads((Path(__file__).resolve().parents[2] / "infra" / "airflow" / "pods.json").read_text())
    pods = read_pod_settings(json.dumps(given))
    assert pods.needs("train-adapter").cpu == given["stages"]["train-adapter"]["cpu"] != NEEDS["train-adapter"].cpu
    on_gpu, on_any = pods.placement(pods.needs("train-adapter")), pods.placement(pods.needs("report"))
    assert on_gpu.node_selector == given["gpu"]["node_selector"]
    assert on_gpu.tolerations == given["gpu"]["tolerations"] + given["spot"]["tolerations"]
    assert (on_any.node_selector, on_any.tolerations) == ({}, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected a JSON object"),
        ('{"gpus": {}}', "'gpus', which has no effect"),
        ('{"gpu": {"nodeSelector": {}}}', "'nodeSelector'"),
        ('{"stages": {"train": {}}}', "'train'"),
        ('{"stages": {"report": {"ram": "1Gi"}}}', "'ram'"),
    ],
)
def test_what_has_no_effect_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read_pod_settings(text)


def test_a_stage_without_needs_is_named():
    with pytest.raises(ValueError, match="NEEDS"):
        read_pod_settings("").needs("make-coffee")


def test_each_stage_of_a_day_belongs_to_one_part():
    wanted = {stage: [part for part in PARTS if is_wanted(stage, part)] for stage in DAY}
    assert all(len(parts) == 1 for parts in wanted.values()), wanted
    assert {parts[0] for parts in wanted.values()} == set(PARTS)
    assert all(is_wanted(stage, "") for stage in DAY)
    assert is_wanted(stages.ARRIVED, "covers")
