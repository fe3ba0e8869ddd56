"""At the door: keyed hashes, moves between keys, and who is kept out by which time."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from icg_tasks.contracts.errors import SettingsError
from icg_tasks.contracts.pseudonym import former_pseudonym_key, key_name, pseudonym
from icg_tasks.intake.columns import Kind, parse_table
from icg_tasks.intake.door import Door
from icg_tasks.intake.windows import day_end_ms

DAY = date(2026, 3, 10)
KEY, FORMER = b"sixteen letters!", b"another sixteen!"


def columns(users: list[str | None], shown: list[str | None]):
    return parse_table(pa.table({"user_id": users, "shown_at": shown}), {"user_id": Kind.TEXT, "shown_at": Kind.TIME})


def test_ids_become_hashes_and_absent_ones_stay_absent():
    found = Door(key=KEY).named(columns(["ann", None, "bob", "ann"], ["2026-03-10"] * 4)["user_id"]).values.to_pylist()
    assert found == [pseudonym("ann", KEY), None, pseudonym("bob", KEY), pseudonym("ann", KEY)]
    assert Door(key=KEY, hashed=True).name("ab12") == "ab12"


def test_moves_are_told_only_while_keys_are_changed():
    users = columns(["ann", None, "ann"], ["2026-03-10"] * 3)["user_id"]
    assert Door(key=KEY).moves(users) == {}
    assert Door(key=KEY, former=FORMER).moves(users) == {pseudonym("ann", FORMER): pseudonym("ann", KEY)}
    assert Door(key=KEY, former=FORMER, hashed=True).moves(users) == {}


@pytest.mark.parametrize(("through", "expected"), [(9, [False, True, False, False]), (10, [True, True, True, True])])
def test_rows_up_to_the_day_of_the_request_are_kept_out(through, expected):
    parsed = columns(["ann"] * 4, ["2026-03-10T08:00:00Z", "2026-03-09T23:59:59Z", "no time", "2026-03-12T00:00:00Z"])
    door = Door(key=KEY, erased={pseudonym("ann", KEY): date(2026, 3, through)})
    named = door.named(parsed["user_id"])
    assert door.kept_out(named, parsed["shown_at"], DAY).tolist() == expected
    others = Door(key=KEY, erased={pseudonym("bob", KEY): date(2026, 3, through)})
    assert not others.kept_out(named, parsed["shown_at"], DAY).any()


def test_nobody_named_is_nobody_kept_out():
    parsed = columns([None, None], ["2026-03-10"] * 2)
    door = Door(key=KEY, erased={pseudonym("ann", KEY): DAY})
    np.testing.assert_array_equal(door.kept_out(door.named(parsed["user_id"]), parsed["shown_at"], DAY), [False, False])
    assert day_end_ms(DAY) > 0


def test_a_former_key_is_another_key_and_long_enough():
    keys = {"ICG_PSEUDONYM_KEY": KEY.decode(), "ICG_PSEUDONYM_FORMER_KEY": FORMER.decode()}
    assert former_pseudonym_key(keys) == FORMER
    assert former_pseudonym_key(keys | {"ICG_PSEUDONYM_FORMER_KEY": KEY.decode()}) is None
    assert former_pseudonym_key({"ICG_PSEUDONYM_KEY": KEY.decode()}) is None
    with pytest.raises(SettingsError, match="has 5 characters"):
        former_pseudonym_key(keys | {"ICG_PSEUDONYM_FORMER_KEY": "short"})
    assert key_name(KEY) != key_name(FORMER)
