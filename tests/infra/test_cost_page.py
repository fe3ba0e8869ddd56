"""docs/cost.md says what benchmarks/RESULTS.md measured, by arithmetic that a reader can follow."""

import re
from dataclasses import replace

import pytest

from benchmarks.cost import BEGIN, COVERS, DAYS, END, PAGE, SCALES, STAGES, core_seconds, section, stage_seconds, tables, units
from benchmarks.results import RESULTS
from icg_tasks.config import load_settings


def test_the_page_holds_what_the_results_come_to():
    found = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    assert found.strip() == tables(RESULTS.read_text(), core_hour=0.04, churn=0.1).strip(), "python -m benchmarks.cost --write"


def test_a_figure_follows_from_the_day_by_hand():
    text = RESULTS.read_text()
    seconds = stage_seconds(section("A day on the embedded world", text))
    generate = next(stage for stage in STAGES if stage.name == "generate-covers")
    million = SCALES[1]
    assert core_seconds(generate, seconds, million, 0.1) == pytest.approx(seconds["generate-covers"] / COVERS * 3_200)
    adapter = next(stage for stage in STAGES if stage.name == "train-adapter")
    assert len({core_seconds(adapter, seconds, scale, 0.1) for scale in SCALES}) == 1
    assert len(re.findall(r"^\| [a-z-]+ \|", tables(text, core_hour=1, churn=0.1), re.MULTILINE)) >= len(STAGES)


def test_the_measured_day_is_the_tiny_profile_s():
    world = load_settings("tiny").world
    assert (world.impressions_per_day, world.num_users) == (SCALES[0].new_rows, SCALES[0].users)
    rows = next(stage for stage in STAGES if stage.name == "validate-impressions").measured
    assert rows == DAYS * world.impressions_per_day


def test_cost_follows_churn_and_scale():
    seconds = dict.fromkeys((stage.name for stage in STAGES), 1.0)
    for stage in STAGES:
        found = [core_seconds(stage, seconds, scale, 0.1) for scale in SCALES]
        assert found == sorted(found), stage.name
    generate = next(stage for stage in STAGES if stage.name == "generate-covers")
    small, large = (core_seconds(generate, seconds, SCALES[2], churn) for churn in (0.1, 0.2))
    assert large == pytest.approx(2 * small)
    assert units(replace(SCALES[0], pairs=50), "new_pairs", 0.5) == 25


def test_results_without_their_tables_are_refused_in_words():
    with pytest.raises(ValueError, match="run its benchmark"):
        tables("# Results\n", core_hour=1, churn=1)
    with pytest.raises(ValueError, match=r"has no .*train-adapter"):
        tables("## A day on the embedded world\n| plan-covers | 1 | 1.7 |\n", core_hour=1, churn=1)
