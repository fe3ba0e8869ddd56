"""What a stage saved goes through the store to another machine, whole or not at all."""

from dataclasses import replace
from datetime import date

import pytest

from icg_tasks.carry import CARRIED, VARIABLE, Carrying
from icg_tasks.config import load_settings
from icg_tasks.lake.store import open_store
from icg_tasks.stage import StageContext

ASKED = {VARIABLE: "1"}


@pytest.fixture
def machines(tmp_path):
    """The same stage and store on two machines with scratch folders of their own."""
    store = open_store(str(tmp_path / "store"))
    contexts = [
        StageContext(
            stage="train-adapter",
            run_date=date(2026, 3, 10),
            settings=replace(load_settings("tiny"), work_folder=str(tmp_path / name)),
            store=store,
        )
        for name in ("here", "there")
    ]
    for name, data in {"training/checkpoint/step.json": "40", "models/denoiser/weights": "big"}.items():
        path = contexts[0].scratch() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data)
    return contexts


def test_work_goes_on_elsewhere_without_what_the_store_has_anyway(machines):
    here, there = machines
    assert Carrying(here, ASKED).send() == 1
    assert Carrying(there, ASKED).fetch() == 1
    assert (there.scratch() / "training/checkpoint/step.json").read_text() == "40"
    assert not (there.scratch() / "models").exists()
    Carrying(there, ASKED).drop()
    assert list(there.store.list(f"{CARRIED}/")) == []


def test_sending_that_was_cut_off_carries_nothing(machines, monkeypatch):
    here, there = machines
    monkeypatch.setattr(type(here.store), "put", lambda *_: (_ for _ in ()).throw(OSError("killed")))
    with pytest.raises(OSError, match="killed"):
        Carrying(here, ASKED).send()
    assert Carrying(there, ASKED).fetch() == 0
    assert list(there.scratch().iterdir()) == []


def test_a_machine_that_has_work_of_its_own_keeps_it(machines):
    here, there = machines
    Carrying(here, ASKED).send()
    (there.scratch() / "newer").write_text("60")
    assert Carrying(there, ASKED).fetch() == 0
    assert (there.scratch() / "newer").read_text() == "60"


@pytest.mark.parametrize(("environ", "arguments"), [({}, {}), (ASKED, {"shard": 3})], ids=["not asked for", "a shard"])
def test_nothing_is_carried_where_it_is_not_wanted(machines, environ, arguments):
    here = replace(machines[0], arguments=arguments)
    assert Carrying(here, environ).send() == 0
    assert list(here.store.list("")) == []
