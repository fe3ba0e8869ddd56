"""train-pigeon on a small store: killed and resumed, from yesterday's champion, refused, split by user."""

import contextlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from icg_tasks.backbones.tokens.janus import Janus
from icg_tasks.contracts.errors import DataCorrupt, DataMissing, GateRefused, Interrupted, SettingsError
from icg_tasks.contracts.holdout import is_held_out_item, is_held_out_user
from icg_tasks.lake.partitions import read_partition
from icg_tasks.lake.registry import champion_as_of, fetch_version, load_version, set_champion
from icg_tasks.models.icg.catalogue import read_catalogue
from icg_tasks.models.pigeon import train_pigeon
from icg_tasks.models.pigeon import windows as windows_module
from icg_tasks.models.pigeon.model import KIND, Pigeon
from icg_tasks.models.pigeon.windows import read_windows
from icg_tasks.stage import StageContext, StopSign
from tests.models.icg.planting import again
from tests.models.pigeon.conftest import CPU
from tests.models.pigeon.planting import DAY, NUM_USERS, plant, tiny_token_model


class StopAfter(StopSign):
    """Raised once a training has looked at it so many times."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def raised(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def train(context: StageContext) -> None:
    """Five steps may well be refused; what was published counts here."""
    with contextlib.suppress(GateRefused):
        train_pigeon.run(context)


def weights(context: StageContext) -> bytes:
    found = [key for key in context.store.list(f"models/{KIND}/versions/") if key.endswith("pigeon.safetensors")]
    assert len(found) == 1
    return context.store.get(found[0])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, janus_folder: Path) -> StageContext:
    context = plant(tmp_path_factory.mktemp("whole"), janus_folder)
    train(context)
    return context


def test_killed_at_any_step_it_resumes_to_the_same_weights(finished: StageContext, tmp_path: Path, janus_folder: Path) -> None:
    context = plant(tmp_path, janus_folder)
    interrupted = 0
    # one look before the training, one after each of three steps, one while pairs are written, one after each of two steps
    for looks in (1, 1, 1, 1, 2, 1):
        with pytest.raises(Interrupted, match="saved"):
            train(again(context, stop=StopAfter(looks)))
        interrupted += 1
    train(context)
    assert interrupted == 6
    assert weights(context) == weights(finished)


def test_the_card_tells_what_happened(finished: StageContext) -> None:
    key = next(key for key in finished.store.list(f"models/{KIND}/versions/") if key.endswith("card.json"))
    card = load_version(finished.store, KIND, key.split("/")[3]).card
    assert [row["step"] for row in card["curves"]] == [1, 2, 3, 4, 5]
    assert card["pairs"] == 3
    assert {"right" in row for row in card["curves"][3:]} == {True}
    assert {"own", "swapped", "plain", "reference", "dark_share", "diversity"} <= card["checks"][0].keys()
    assert {row["stage"] for row in card["checks"]} == {"reconstruction", "preference"}


def test_a_version_holds_what_covers_need_and_a_picture_of_its_masks(finished: StageContext) -> None:
    names = {key.rsplit("/", 1)[1] for key in finished.store.list(f"models/{KIND}/versions/")}
    assert names == {
        "card.json",
        "config.json",
        "pigeon.safetensors",
        "reconstructed.safetensors",
        "liked.safetensors",
        "masks.png",
    }


def test_weights_of_the_first_stage_are_kept_beside_those_of_both(finished: StageContext, janus_folder: Path) -> None:
    key = next(key for key in finished.store.list(f"models/{KIND}/versions/") if key.endswith("card.json"))
    version = load_version(finished.store, KIND, key.split("/")[3])
    folder = fetch_version(finished.store, version, finished.scratch("models"))
    both, first = (Pigeon.load(Janus.load(str(janus_folder), CPU), folder, stage=stage).trained() for stage in (2, 1))
    masks = [name for name in both if name.startswith("masks.")]
    assert all(torch.equal(both[name], first[name]) for name in masks)  # stage 2 leaves the masks as they are
    assert version.card["best_step"] <= 3 or any(not torch.equal(both[name], first[name]) for name in both)


def test_it_learns_what_it_is_shown(finished: StageContext) -> None:
    key = next(key for key in finished.store.list(f"models/{KIND}/versions/") if key.endswith("card.json"))
    checks = load_version(finished.store, KIND, key.split("/")[3]).card["checks"]
    losses = [row["loss"] for row in checks if row["stage"] == "reconstruction"]
    assert losses[-1] < losses[0]


def test_windows_are_six_clicks_of_one_user_in_time_split_by_user(
    finished: StageContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue, _, _ = read_catalogue(finished)
    rows = {item: row for row, item in enumerate(catalogue.item_ids)}
    clicks = windows_module._clicks(finished, rows)
    users = [f"{user:032x}" for user in range(NUM_USERS)]
    assert set(clicks) == {user for user in users if not is_held_out_user(user)} != set(users)
    runs = {user: {tuple(seen[at : at + 6]) for at in range(len(seen) - 5)} for user, seen in clicks.items() if len(seen) >= 6}
    learned, aside = read_windows(finished, catalogue)
    found = [{(*history, target) for history, target in zip(part.history_WH.tolist(), part.target_W.tolist(), strict=True)}
             for part in (learned, aside)]  # fmt: skip
    assert (len(learned), len(aside)) == (32, 4)
    for part in found:
        assert part <= set().union(*runs.values())
    owners = [{user for user, mine in runs.items() if mine & part} for part in found]
    assert not owners[0] & owners[1]
    assert not any(is_held_out_item(catalogue.item_ids[row]) for row in [*learned.target_W, *learned.history_WH.flatten()])
    monkeypatch.setattr(windows_module, "_MOST_ROWS", 500)
    few = windows_module._clicks(finished, rows)
    assert 0 < len(few) < len(clicks)
    assert all(few[user] == clicks[user] for user in few)  # whole users, or none of them


def test_clicks_on_generated_covers_are_left_out_and_the_rest_stand_in_time(finished: StageContext) -> None:
    items = {f"i{number}": number for number in range(30)}
    clicks = windows_module._clicks(finished, items)
    days = [DAY - timedelta(days=back) for back in range(6, -1, -1)]
    tables = [read_partition(finished.store, "clean/impressions", day).to_pylist() for day in days]
    user = next(iter(clicks))
    rows = [row for table in tables for row in table if row["user_id"] == user]
    expected = [items[row["item_id"]] for row in rows if row["clicked"] and row["cover_id"] is None]
    assert clicks[user] == [item for at, item in enumerate(expected) if at == 0 or item != expected[at - 1]]
    assert len(expected) == 14  # two a day; a third was on a generated cover, the fourth no click


def test_it_goes_on_from_the_champion_of_an_earlier_date(finished: StageContext, janus_folder: Path) -> None:
    key = next(key for key in finished.store.list(f"models/{KIND}/versions/") if key.endswith("card.json"))
    version = load_version(finished.store, KIND, key.split("/")[3])
    set_champion(finished.store, version, DAY - timedelta(days=1), reason="yesterday's")
    outcome = train_pigeon.run(finished)
    assert outcome.figures["started_from"] == version.version
    serving = champion_as_of(finished.store, KIND, DAY)
    assert serving is not None
    assert serving.version == outcome.figures["champion"]


def test_a_pigeon_fits_its_own_token_model_only(finished: StageContext, tokens, tmp_path: Path) -> None:
    key = next(key for key in finished.store.list(f"models/{KIND}/versions/") if key.endswith("card.json"))
    folder = fetch_version(finished.store, load_version(finished.store, KIND, key.split("/")[3]), tmp_path)
    tokens.num_codes = 32
    with pytest.raises(DataCorrupt, match=r"trained for \(32, 16, 16\), this model is \(32, 16, 32\)"):
        Pigeon.load(tokens, folder)
    tokens.num_codes = 16
    (folder / "pigeon.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataCorrupt, match="no Pigeon in"):
        Pigeon.load(tokens, folder)


def test_another_family_learns_as_well(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    emu3 = tiny_token_model(tmp_path_factory.mktemp("emu3"), "emu3")
    context = plant(tmp_path, emu3, "pigeon.token_family=emu3", "pigeon.preference_steps=0", "pigeon.history_mask=random")
    train(context)
    assert weights(context)
    key = next(key for key in context.store.list(f"models/{KIND}/versions/") if key.endswith("card.json"))
    card = load_version(context.store, KIND, key.split("/")[3]).card
    assert card["pairs"] == 0
    losses = [row["loss"] for row in card["checks"]]
    assert losses[-1] < losses[0]
    assert any((context.scratch("training") / "record").iterdir())


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("pigeon.check_windows=1", r"pigeon.check_windows=1; expected 2 or more"),
        ("pigeon.temperature=0", r"pigeon.temperature=0.0; expected a number above 0"),
        ("pigeon.reference_weight=1.5", r"pigeon.reference_weight=1.5; expected a share from 0 to 1"),
        ("pigeon.history_mask=best", r"pigeon.history_mask='best'; expected one of learned, random, none"),
        ("pigeon.ratios=1", r"pigeon.ratios=1 leaves nothing to choose between"),
        ("pigeon.memory_limit_gb=0.000001", r"a step of 2 windows needs about .* pigeon.memory_limit_gb allows 0.00 GB; set"),
    ],
)
def test_settings_that_cannot_work_are_refused(finished: StageContext, setting: str, found: str) -> None:
    name, _, value = setting.removeprefix("pigeon.").partition("=")
    kind = type(getattr(finished.settings.pigeon, name))
    settings = replace(finished.settings, pigeon=replace(finished.settings.pigeon, **{name: kind(value)}))
    with pytest.raises(SettingsError, match=found):
        train_pigeon.run(again(finished, settings=settings))


def test_without_what_it_needs_it_says_what_to_do(tmp_path: Path, janus_folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"pigeon.token_model is empty"):
        train_pigeon.run(plant(tmp_path / "none", Path(), "pigeon.token_model="))
    with pytest.raises(DataMissing, match=r"windows of 31 clicks by one user .*shorter history"):
        train_pigeon.run(plant(tmp_path / "long", janus_folder, "pigeon.history_length=30"))
