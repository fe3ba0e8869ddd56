"""train-adapter on a small store: from afresh to a champion, killed and resumed, started from yesterday's, refused."""

import contextlib
from datetime import timedelta
from pathlib import Path

import pytest

from icg_tasks.backbones.locate import resolve_checkpoint
from icg_tasks.contracts.errors import GateRefused, Interrupted, SettingsError
from icg_tasks.contracts.holdout import is_held_out_item
from icg_tasks.lake.registry import champion_as_of, fetch_version, load_version, require_champion, set_champion
from icg_tasks.models.icg.adapter import KIND, IcgAdapter
from icg_tasks.models.icg.catalogue import read_catalogue
from icg_tasks.models.icg.train_adapter import run
from icg_tasks.stage import StageContext, StopSign
from tests.models.icg.planting import DAY, again, plant

AFRESH = ("backbones.warm_adapter=", "adapter.alignment_steps=3")


class StopAfter(StopSign):
    """Raised once a training has looked at it so many times."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def raised(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def adapter_bytes(context: StageContext) -> bytes:
    """Weights that the day's training published, whoever serves."""
    found = [key for key in context.store.list(f"models/{KIND}/versions/") if key.endswith("adapter.safetensors")]
    assert found
    return b"".join(context.store.get(key) for key in found)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> StageContext:
    """A day trained afresh in one go; only its published weights matter."""
    context = plant(tmp_path_factory.mktemp("whole"), *AFRESH)
    train(context)
    return context


def train(context: StageContext) -> None:
    """A three-step adapter may well be refused; what it published counts here."""
    with contextlib.suppress(GateRefused):
        run(context)


def test_killed_at_any_step_it_resumes_to_the_same_weights(finished: StageContext, tmp_path: Path) -> None:
    context = plant(tmp_path, *AFRESH)
    interrupted = 0
    for looks in (3, 3, 3):  # two before the first step; then in alignment, in the reward phase, after its last step
        with pytest.raises(Interrupted, match="saved"):
            train(again(context, stop=StopAfter(looks)))
        interrupted += 1
    train(context)
    assert interrupted == 3
    assert adapter_bytes(context) == adapter_bytes(finished)


def test_the_same_day_twice_is_the_same_version(finished: StageContext) -> None:
    before = sorted(finished.store.list(f"models/{KIND}/"))
    train(finished)
    assert sorted(finished.store.list(f"models/{KIND}/")) == before


def test_the_card_tells_what_happened(finished: StageContext) -> None:
    keys = [key for key in finished.store.list(f"models/{KIND}/versions/") if key.endswith("card.json")]
    card = load_version(finished.store, KIND, keys[0].split("/")[3]).card
    assert [row["step"] for row in card["curves"]] == list(range(1, 7))
    assert {"text", "denoising"} <= card["curves"][0].keys()
    assert {"preference", "relevance", "aesthetic", "anchor", "dispersion"} <= card["curves"][-1].keys()
    assert card["checks"][0]["step"] == 3
    assert {"own", "swapped", "plain", "dark_share", "title_found"} <= card["checks"][0].keys()


def test_without_anything_to_start_from_it_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="alignment_steps"):
        run(plant(tmp_path, "backbones.warm_adapter="))


def test_held_out_items_and_ruined_images_are_never_learned_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    context = plant(tmp_path, truncated=True)
    learned, aside, unusable = read_catalogue(context)
    names = [*learned.item_ids, *aside.item_ids]
    assert unusable == 1
    assert "i0" not in names
    assert "left out raw/images/0.png" in capsys.readouterr().err
    assert set(names) == {f"i{n}" for n in range(1, 30) if not is_held_out_item(f"i{n}")}
    assert not set(learned.item_ids) & set(aside.item_ids)


def test_it_goes_on_from_the_champion_of_an_earlier_date_and_leaves_that_date_alone(finished: StageContext) -> None:
    first = next(key for key in finished.store.list(f"models/{KIND}/versions/") if key.endswith("card.json")).split("/")[3]
    version = load_version(finished.store, KIND, first)
    set_champion(finished.store, version, DAY - timedelta(days=1), reason="yesterday's")
    outcome = run(finished)
    assert outcome.figures["started_from"] == first
    assert champion_as_of(finished.store, KIND, DAY, strictly_before=True).version == first
    serving = require_champion(finished.store, KIND, DAY)
    assert serving.version == outcome.figures["champion"]
    assert IcgAdapter.load(fetch_version(finished.store, serving, finished.scratch("check"))).config.user_width == 256
    if not outcome.figures["accepted"]:
        assert serving.version == first


def test_a_training_that_ruins_covers_is_rolled_back_and_the_warm_adapter_serves(tmp_path: Path) -> None:
    context = plant(tmp_path, "adapter.learning_rate=3.0", "adapter.reward_steps=4", "adapter.evaluate_every=2")
    outcome = run(context)
    assert not outcome.figures["accepted"]
    assert outcome.figures["rollbacks"] >= 1
    assert outcome.figures["best_step"] == 0
    assert outcome.figures["checks"][-1]["broken"]
    serving = require_champion(context.store, KIND, DAY)
    warm = IcgAdapter.load(resolve_checkpoint("zoo:adapter"))
    assert context.store.get(f"{serving.prefix}/adapter.safetensors") == warm.files()["adapter.safetensors"]
