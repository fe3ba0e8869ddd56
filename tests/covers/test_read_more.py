"""The reader besides its answers: old pointers, background refresh, shared caches, addresses, asyncio, damage."""

import asyncio
import json
import os
import struct
import time
from datetime import timedelta
from pathlib import Path

import pytest

from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing, SettingsError
from icg_tasks.contracts.pseudonym import pseudonym
from icg_tasks.covers import index_build
from icg_tasks.covers.addresses import cdn, presigned
from icg_tasks.covers.index import CoverIndex
from icg_tasks.covers.parents import segment_parents
from icg_tasks.covers.pointer import current_pointer
from icg_tasks.covers.read import CoverReader
from icg_tasks.covers.read_async import AsyncCoverReader
from icg_tasks.lake.partitions import read_partition
from icg_tasks.lake.store import ObjectStore, open_store
from tests.covers.conftest import DAY, KEY, NEXT, House
from tests.covers.memory_store import MemoryStore
from tests.covers.test_read import publish_day

PATIENCE = 30.0
PAIRS = [(user, item) for user in ("ann", "bob", "cyd", "nobody") for item in ("i0", "i1", "i2", "i3")]


@pytest.fixture
def up(house: House) -> House:
    publish_day(house, DAY)
    return house


def in_memory(house: House) -> MemoryStore:
    """The same objects in a store that is not on this disk."""
    remote = MemoryStore()
    remote.objects |= {key: (house.store.get(key), 0.0) for key in house.store.list("")}
    return remote


def test_a_current_json_of_before_there_were_indexes_gives_the_same_answers(up: House) -> None:
    new = CoverReader(up.store)
    answers = [new.cover(*pair) for pair in PAIRS]
    body = json.loads(up.store.get(keys.COVERS_CURRENT))
    old = {name: value for name, value in body.items() if name not in {"index", "serial"}}
    up.store.put(keys.COVERS_CURRENT, json.dumps(old).encode())
    reader = CoverReader(up.store)
    assert [reader.cover(*pair) for pair in PAIRS] == answers
    assert [reader.segment(user) for user in ("ann", "nobody")] == ["s0", None]
    assert any(answers)
    publish_day(up, NEXT, turn=1.0)
    assert current_pointer(up.store).serial == 1, "the first move after that begins the history"
    archived = next(up.store.list(f"{keys.COVER_HISTORY}/"))
    assert json.loads(up.store.get(archived)) == old


def test_a_thread_of_its_own_looks_and_close_ends_it(up: House) -> None:
    with CoverReader(up.store, refresh_seconds=0.02, background=True) as reader:
        assert reader.day == DAY
        publish_day(up, NEXT, turn=1.0)
        deadline = time.monotonic() + PATIENCE
        while reader.day != NEXT:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert not reader._thread.is_alive()
    assert reader.day == NEXT


def test_an_unchanged_etag_costs_one_request_and_no_body(up: House) -> None:
    remote = in_memory(up)
    reader = CoverReader(remote, refresh_seconds=0)
    reader.cover("ann", "i0")
    seen: list[str] = []
    remote.before = lambda operation, key: seen.append(f"{operation} {key}")
    for _ in range(3):
        reader.cover("ann", "i0")
    assert seen == [f"etag {keys.COVERS_CURRENT}"] * 3


def test_processes_share_an_index_through_a_folder(up: House, tmp_path: Path) -> None:
    remote, cache = in_memory(up), tmp_path / "cache"
    first = CoverReader(remote, cache_folder=cache)
    cover = first.cover("ann", "i0")
    kept = list(cache.iterdir())
    assert len(kept) == 1
    fetched: list[str] = []
    remote.before = lambda operation, key: fetched.append(key)
    assert CoverReader(remote, cache_folder=cache).cover("ann", "i0") == cover
    assert not [key for key in fetched if key.startswith(keys.COVER_INDEXES)]
    kept[0].write_bytes(kept[0].read_bytes()[:-1] + b"!")
    with pytest.raises(DataCorrupt, match="publish that date again"):
        CoverReader(remote, cache_folder=cache).cover("ann", "i0")
    assert not kept[0].exists(), "the next try fetches it again"
    assert CoverReader(remote, cache_folder=cache).cover("ann", "i0") == first.cover("ann", "i0") == cover
    for number in range(3):  # only the newest two stay
        path = cache / f"{number}.icgindex"
        path.write_bytes(b"old")
        os.utime(path, (number, number))
    kept[0].unlink()
    CoverReader(remote, cache_folder=cache).cover("ann", "i0")
    assert sorted(path.name for path in cache.iterdir()) == sorted([kept[0].name, "2.icgindex"])


def test_a_damaged_index_never_answers_and_the_last_good_one_stays(up: House) -> None:
    reader = CoverReader(up.store, refresh_seconds=0)
    before = reader.cover("ann", "i0")
    publish_day(up, NEXT, turn=1.0)
    path = up.store.local_path(current_pointer(up.store).index.key)
    data = path.read_bytes()
    path.write_bytes(data[:-5] + bytes(5))
    assert reader.cover("ann", "i0") == before
    with pytest.raises(DataCorrupt):
        CoverReader(up.store).cover("ann", "i0")
    path.unlink()
    with pytest.raises(DataMissing):
        CoverReader(up.store).cover("ann", "i0")
    path.write_bytes(data)
    assert reader.cover("ann", "i0").day == NEXT


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 64 bytes, so that a small index has many."""
    monkeypatch.setattr(index_build, "BLOCK_BITS", 6)


def damaged(store: ObjectStore, path: Path | None = None) -> bytes:
    """Turn a bit of the newest index's last cover; its content before that."""
    path = path or store.local_path(current_pointer(store).index.key)
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 8)
    at = json.loads(data[12 : 12 + length])["hashes"] - 60
    path.unlink()  # maps of the former file stay as they were
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    return data


def asked(reader: CoverReader) -> set[object]:
    """Days of all that is shown; False for what is refused."""
    found: set[object] = set()
    for pair in PAIRS:
        try:
            cover = reader.cover(*pair)
            found.add(cover.day if cover else None)
        except DataCorrupt:
            found.add(False)
    return found


def test_damage_is_met_where_it_lies_and_the_day_before_serves(small_blocks: None, up: House, caplog) -> None:
    publish_day(up, NEXT)
    good = CoverReader(up.store)
    assert asked(good) == {NEXT, None}
    data = damaged(up.store)
    fresh = CoverReader(up.store)
    assert asked(fresh) >= {False}, "nobody is shown what was not checked"
    assert "dropped" in caplog.text
    with pytest.raises(DataCorrupt, match="publish that date again"):
        fresh.cover("ann", "i0")  # it is checked whole from now on
    up.store.local_path(current_pointer(up.store).index.key).write_bytes(data)
    assert asked(fresh) == {NEXT, None}


def test_a_look_up_that_proves_damaged_gives_way_to_the_one_before(small_blocks: None, up: House) -> None:
    reader = CoverReader(up.store, refresh_seconds=0)
    assert asked(reader) == {DAY, None}
    publish_day(up, NEXT)
    damaged(up.store)
    assert asked(reader) <= {DAY, NEXT, None}
    assert asked(reader) == {DAY, None}
    assert reader.answer("ann", "i0")["day"] == DAY.isoformat()
    assert reader.segment("ann") is not None


def test_a_damaged_copy_is_fetched_again(small_blocks: None, up: House, tmp_path: Path) -> None:
    remote = in_memory(up)
    first = CoverReader(remote, cache_folder=tmp_path / "cache")
    days = asked(first)
    (kept,) = (tmp_path / "cache").iterdir()
    damaged(remote, kept)
    second = CoverReader(remote, cache_folder=tmp_path / "cache")
    assert asked(second) >= {False}
    assert asked(second) == days


def test_an_index_may_be_checked_behind_the_first_answers(
    small_blocks: None, up: House, caplog: pytest.LogCaptureFixture
) -> None:
    good = CoverReader(up.store, check_behind=True)
    cover = good.cover("ann", "i0")
    data = damaged(up.store)
    reader = CoverReader(up.store, check_behind=True)
    reader.refresh()
    deadline = time.monotonic() + PATIENCE
    while reader._look_up is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "are dropped" in caplog.text
    with pytest.raises(DataCorrupt, match="publish that date again"):
        reader.cover("ann", "i0")
    path = up.store.local_path(current_pointer(up.store).index.key)
    path.write_bytes(data[:-1])
    with pytest.raises(DataCorrupt, match="publish that date again"):
        CoverReader(up.store, check_behind=True).cover("ann", "i0")
    path.write_bytes(data)
    assert reader.cover("ann", "i0") == good.cover("ann", "i0") == cover


def test_an_index_from_before_there_were_seals_is_checked_whole(up: House) -> None:
    found = json.loads(up.store.get(keys.COVERS_CURRENT))
    del found["index"]["seal"]
    up.store.put(keys.COVERS_CURRENT, json.dumps(found).encode())
    assert asked(CoverReader(up.store)) == {DAY, None}
    damaged(up.store)
    assert asked(CoverReader(up.store)) == {False}


def test_a_reader_with_a_thread_says_what_is_wrong_until_it_is_mended(small_blocks: None, up: House) -> None:
    publish_day(up, NEXT)
    data = damaged(up.store)
    path = up.store.local_path(current_pointer(up.store).index.key)
    with CoverReader(up.store, refresh_seconds=0.02, background=True) as reader:
        assert reader.day == NEXT
        assert asked(reader) >= {False}, "never a None that says: show the item's own"
        with pytest.raises(DataCorrupt, match="publish that date again"):
            reader.cover("ann", "i0")
        time.sleep(0.1)  # the thread meets the damage too, and lives
        path.write_bytes(data)
        deadline = time.monotonic() + PATIENCE
        while asked(reader) != {NEXT, None}:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        publish_day(up, NEXT + timedelta(days=1))
        while reader.day == NEXT:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_answers_between_two_looks_ask_the_store_nothing(up: House) -> None:
    remote = in_memory(up)
    reader = CoverReader(remote, refresh_seconds=3600)
    first = reader.cover("ann", "i0")
    seen: list[str] = []
    remote.before = lambda operation, key: seen.append(f"{operation} {key}")
    assert [reader.cover("ann", "i0") for _ in range(3)] == [first] * 3
    assert reader.refresh() is False
    assert seen == [f"etag {keys.COVERS_CURRENT}"]


def test_an_index_outlives_its_file(up: House) -> None:
    reader = CoverReader(up.store, refresh_seconds=3600)
    cover = reader.cover("ann", "i0")
    up.store.delete(current_pointer(up.store).index.key)
    assert reader.cover("ann", "i0") == cover


def test_addresses_for_browsers(up: House, moto_store_uri: str) -> None:
    cover = CoverReader(up.store).cover("ann", "i0")
    assert CoverReader(up.store).url(cover) == Path(cover.address).as_uri()
    assert CoverReader(up.store, address_of=cdn("https://cdn.example/x/")).url(cover) == f"https://cdn.example/x/{cover.blob}"
    s3 = open_store(moto_store_uri)
    s3.put(cover.blob, up.store.get(cover.blob))
    address = CoverReader(s3, address_of=presigned(s3, 60)).url(cover)
    assert cover.blob in address
    assert "Signature" in address
    for wrong in ("ftp://x", "covers.example.org", "https://", "https://x?y"):
        with pytest.raises(SettingsError, match="CDN"):
            cdn(wrong)
    with pytest.raises(SettingsError, match="seconds"):
        presigned(s3, 10**7)
    with pytest.raises(DataCorrupt):
        cdn("https://cdn.example")("../secret")


def test_the_same_answers_under_asyncio(up: House) -> None:
    async def ask() -> None:
        async with AsyncCoverReader(CoverReader(up.store)) as reader:
            plain = CoverReader(up.store)
            found = await asyncio.gather(*(reader.cover(*pair) for pair in PAIRS))
            assert found == [plain.cover(*pair) for pair in PAIRS]
            cover = found[0]
            assert (await reader.image(cover))[:4] == b"RIFF"
            assert (await reader.answer("ann", "i0"))["source"] == "segment"
            assert reader.url(cover) == plain.url(cover)
            publish_day(up, NEXT, turn=1.0)
            assert await reader.refresh()
            assert (await reader.cover("ann", "i0")).day == NEXT

    asyncio.run(ask())


def test_a_segment_without_covers_borrows_its_likest_where_asked(up: House) -> None:
    context = up.context("publish-covers")
    covers = read_partition(up.store, keys.COVER_MANIFESTS, DAY)
    assert segment_parents(context, covers) == {}
    up.set(parent_distance=1.2)
    parents = segment_parents(up.context("publish-covers"), covers)
    assert parents == {"s2": "s0"}, "s0 and s1 point away from each other; s2 lies nearer to s0"
    publish_day(up, NEXT)
    reader = CoverReader(up.store)
    assert (reader.answer("cyd", "i0")["source"], reader.cover("cyd", "i0").segment_id) == ("parent", "s0")
    up.set(parent_distance=3.0)
    with pytest.raises(SettingsError, match="parent_distance"):
        segment_parents(up.context("publish-covers"), covers)


def test_the_index_holds_the_keyed_hash_alone(up: House) -> None:
    index = up.store.local_path(current_pointer(up.store).index.key)
    hashed = pseudonym("ann", KEY.encode())
    assert bytes.fromhex(hashed) in index.read_bytes()
    assert CoverIndex(index, "").segment(hashed) == "s0"
    assert CoverIndex(index, "").segment("ann") is None
