import json
from datetime import timedelta

import pytest

from icg_tasks.contracts.errors import GateRefused
from icg_tasks.contracts.partitions import ITEM_FEATURES, MODELS
from icg_tasks.contracts.schemas import ITEM_FEATURES as SCHEMA
from icg_tasks.lake.partitions import find_partition, read_partition, write_partition
from icg_tasks.lake.registry import champion_as_of, fetch_version
from icg_tasks.models.preference.contest import champion_prediction
from icg_tasks.models.preference.model import KIND, ONNX, PreferenceModel
from icg_tasks.models.preference.samples import read_split
from icg_tasks.models.preference.train import run
from tests.models.preference.planting import LAST, context_for, plant

QUICK = ("preference.epochs=3", "preference.rank=12")
DAY_BEFORE = LAST - timedelta(days=1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two days in a row trained on one planted store."""
    root = tmp_path_factory.mktemp("trained")
    planted = plant(root / "store", num_users=800, rows_per_day=8_000)
    metadata = find_partition(planted.store, ITEM_FEATURES, LAST).metadata
    table = read_partition(planted.store, ITEM_FEATURES, LAST)
    write_partition(planted.store, ITEM_FEATURES, DAY_BEFORE, [table], schema=SCHEMA, metadata=metadata)
    outcomes = [run(context_for(planted, root / "work", *QUICK, run_date=day)) for day in (DAY_BEFORE, LAST)]
    return planted, root, outcomes


def contents(store):
    return {key: store.get(key) for key in store.list(f"{MODELS}/")}


def test_the_first_model_is_champion_and_beats_every_baseline(place):
    planted, _, (first, _) = place
    assert first.figures["accepted"] is True
    assert champion_as_of(planted.store, KIND, DAY_BEFORE).version == first.figures["version"]
    assert first.figures["difference_to_best_baseline"]["auc"]["low"] > 0
    assert first.figures["difference_to_no_image"]["auc"]["low"] > 0
    assert first.figures["canaries"]["own_minus_swapped_auc"]["low"] > 0
    assert first.figures["figures"]["global_rate"]["auc"]["mean"] == 0.5
    json.dumps(first.figures, allow_nan=False)


def test_the_second_day_is_judged_against_the_first(place):
    planted, _, (first, second) = place
    assert "champion" in second.figures["reason"]
    assert second.figures["difference_to_champion"] is not None
    expected = second.figures["version"] if second.figures["accepted"] else first.figures["version"]
    assert champion_as_of(planted.store, KIND, LAST).version == expected
    assert champion_as_of(planted.store, KIND, LAST, strictly_before=True).version == first.figures["version"]


def test_the_same_date_again_writes_the_same_bytes(place):
    planted, root, (_, second) = place
    before = contents(planted.store)
    again = run(context_for(planted, root / "elsewhere", *QUICK))
    assert again == second
    assert contents(planted.store) == before


def test_the_published_folder_serves(place):
    planted, root, _ = place
    version = champion_as_of(planted.store, KIND, DAY_BEFORE)
    folder = fetch_version(planted.store, version, root / "served")
    model = PreferenceModel.load(folder)
    assert (folder / ONNX).stat().st_size > 1_000
    card = version.card
    assert card["encoder"] == model.encoder
    assert len(card["calibration"]) == 15
    assert {entry["dataset"] for entry in card["lineage"]} >= {"clean/impressions", "features/items", "features/user_days"}
    split = read_split(context_for(planted, root / "work", run_date=DAY_BEFORE))
    found = champion_prediction(model, split)
    assert len(found.place_free) == len(split.test)
    assert found.place_free.std() > 0.3


def test_a_worse_challenger_leaves_the_champion_in_place(place, tmp_path):
    planted, _, (first, _) = place
    outcome = run(context_for(planted, tmp_path, *QUICK, "preference.max_inferiority=-0.9"))
    assert outcome.figures["accepted"] is False
    assert outcome.figures["champion"] == first.figures["version"]
    assert champion_as_of(planted.store, KIND, LAST).version == first.figures["version"]


def test_a_first_model_with_a_dead_canary_stops_the_day(planted, tmp_path):
    with pytest.raises(GateRefused, match="standard deviation") as refusal:
        run(context_for(planted, tmp_path, *QUICK, "preference.min_canary_dispersion=2.9"))
    assert refusal.value.exit_code == 3
    assert champion_as_of(planted.store, KIND, LAST) is None


def test_where_looks_carry_no_signal_the_figures_say_so(tmp_path):
    blind = plant(tmp_path / "store", image_taste=0.0, rows_per_day=8_000, num_users=800)
    outcome = run(context_for(blind, tmp_path / "work", *QUICK))
    found = outcome.figures["difference_to_no_image"]["auc"]
    assert found["low"] < 0.01
    assert abs(found["mean"]) < 0.05
