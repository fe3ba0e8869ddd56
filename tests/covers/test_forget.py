"""Users who asked to be forgotten are in no index, today's or former; segments too small to be seen have no covers."""

from dataclasses import replace

import pyarrow as pa
import pytest

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts import schemas
from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.pseudonym import pseudonym
from icg_tasks.covers import plan, publish
from icg_tasks.covers.index_cache import open_index
from icg_tasks.covers.pointer import current_pointer, pointer_to
from icg_tasks.lake.certificates import read_certificate, write_certificate
from icg_tasks.lake.partitions import read_partition, write_partition
from tests.covers.conftest import DAY, KEY, NEXT, House, fill_inputs

ANN = pseudonym("ann", KEY.encode())


def published(house: House, day) -> None:
    plan.run(house.context("plan-covers", day))
    house.fill_shards(day)
    publish.run(house.context("publish-covers", day))


def erased(house: House, day) -> None:
    """What validation leaves of a request: a note, the certificate of its part, the features without her."""
    write_partition(house.store, keys.ERASURES, day, [pa.table({"user_id": [ANN]})], schema=schemas.ERASURES)
    write_certificate(house.store, day, {"users": [ANN], "data_sets": {}, "finished": True})
    house.users(DAY, {"bob": "s1", "cyd": "s2"})


def places_of(house: House, name: str) -> list[str]:
    words = (name.encode(), bytes.fromhex(name))
    return [key for key in house.store.list("covers/v1/") if any(word in house.store.get(key) for word in words)]


def test_former_indexes_lose_her_and_can_still_be_rolled_back_to(house: House) -> None:
    published(house, DAY)
    assert places_of(house, ANN) != []
    fill_inputs(house, NEXT)
    house.users(NEXT, {"bob": "s1", "cyd": "s2"})
    erased(house, NEXT)
    published(house, NEXT)
    assert places_of(house, ANN) == []
    body = read_certificate(house.store, NEXT)
    assert body["covers"] == {DAY.isoformat(): {"before": 3, "after": 2}}
    assert body["covers_finished"]
    pointer = pointer_to(house.store, DAY)
    assert pointer.index is not None
    index = open_index(house.store, pointer.index, None)
    assert index.segment(pseudonym("bob", KEY.encode())) == "s1"
    assert index.cover(pseudonym("bob", KEY.encode()), "i0") is not None
    stands = {key: house.store.get(key) for key in house.store.list("")}
    publish.run(house.context("publish-covers", NEXT))
    assert {key: house.store.get(key) for key in house.store.list("")} == stands


def test_the_date_that_is_up_is_cleaned_too_when_an_older_one_is_published(house: House) -> None:
    published(house, DAY)
    fill_inputs(house, NEXT)
    published(house, NEXT)
    erased(house, NEXT)
    house.users(NEXT, {"bob": "s1", "cyd": "s2"})
    publish.run(house.context("publish-covers", DAY))
    up = current_pointer(house.store)
    assert up is not None
    assert up.day == NEXT
    assert up.index is not None
    assert open_index(house.store, up.index, None).segment(ANN) is None
    assert [key for key in places_of(house, ANN) if "/history/" not in key] == []


def test_a_segment_too_small_to_be_seen_has_no_covers_and_its_users_are_nobody_special(house: House) -> None:
    rows = read_partition(house.store, keys.SEGMENTS, DAY).to_pylist()
    rows[0]["size"] = house.settings.privacy.min_published_users - 1
    rows[1]["size"] = house.settings.privacy.min_published_users
    table = pa.Table.from_pylist(rows, schema=schemas.SEGMENTS)
    write_partition(house.store, keys.SEGMENTS, DAY, [table], schema=schemas.SEGMENTS)
    published(house, DAY)
    small, seen = rows[0]["segment_id"], rows[1]["segment_id"]
    segments = {row["segment_id"] for row in read_partition(house.store, keys.COVER_MANIFESTS, DAY).to_pylist()}
    assert seen in segments
    assert small not in segments
    index = open_index(house.store, pointer_to(house.store, DAY).index, None)
    who = {"s0": "ann", "s1": "bob", "s2": "cyd"}
    assert index.segment(pseudonym(who[small], KEY.encode())) is None
    assert index.segment(pseudonym(who[seen], KEY.encode())) == seen
    assert small.encode() not in b"".join(house.store.get(key) for key in house.store.list("covers/v1/indexes"))


def test_where_all_are_too_small_the_plan_says_so(house: House) -> None:
    house.settings = replace(house.settings, privacy=replace(house.settings.privacy, min_published_users=1000))
    with pytest.raises(DataMissing, match=r"privacy\.min_published_users=1000"):
        plan.run(house.context("plan-covers"))
