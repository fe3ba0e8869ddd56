"""What every object store promises: whole objects, listing, one winner of a race, no key outside its root."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from icg_tasks.contracts.errors import DataCorrupt, DataMissing, IcgError, SettingsError
from icg_tasks.lake.store import open_store


def test_object_is_read_as_written_and_overwritten_whole(store):
    store.put("a/b.bin", b"one" * 1000)
    store.put("a/b.bin", b"two")
    assert store.get("a/b.bin") == b"two"
    assert store.exists("a/b.bin")
    assert not store.exists("a")
    store.delete("a/b.bin")
    store.delete("a/b.bin")
    assert not store.exists("a/b.bin")


def test_missing_object_is_told_by_key_and_store(store):
    with pytest.raises(DataMissing, match=r"nothing/here\.bin"):
        store.get("nothing/here.bin")
    assert store.get_with_etag("nothing/here.bin") is None


def test_listing_is_by_text_prefix_and_sorted(store):
    for key in ("x/ds=2026-01-02/b", "x/ds=2026-01-01/a", "x/ds=2026-01-02/a", "xy/c", "x.json"):
        store.put(key, b"1")
    assert list(store.list("x/ds=2026-01-0")) == ["x/ds=2026-01-01/a", "x/ds=2026-01-02/a", "x/ds=2026-01-02/b"]
    assert list(store.list("x/")) == ["x/ds=2026-01-01/a", "x/ds=2026-01-02/a", "x/ds=2026-01-02/b"]
    assert list(store.list("")) == sorted(["x/ds=2026-01-02/b", "x/ds=2026-01-01/a", "x/ds=2026-01-02/a", "xy/c", "x.json"])
    assert list(store.list("none")) == []


def test_listing_goes_past_one_page(store):
    keys = [f"many/{number:05d}" for number in range(1_050)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b""), keys))
    assert list(store.list("many/")) == keys


def test_put_if_absent_has_one_winner_among_sixteen(store):
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda number: store.put_if_absent("race/claim", str(number).encode()), range(16)))
    assert sum(won) == 1
    assert store.get("race/claim") == str(won.index(True)).encode()


def test_put_if_match_has_one_winner_among_sixteen_and_refuses_the_stale(store):
    store.put("race/pointer", b"start")
    etag = store.get_with_etag("race/pointer")[1]
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda number: store.put_if_match("race/pointer", f"from {number}".encode(), etag), range(16)))
    assert sum(won) == 1
    assert store.get("race/pointer") == f"from {won.index(True)}".encode()
    assert store.put_if_match("race/pointer", b"late", etag) is False
    assert store.put_if_match("race/absent", b"x", etag) is False


@pytest.mark.parametrize(
    "key",
    [
        "../outside",
        "a/../../outside",
        "/absolute",
        "a//b",
        "a/./b",
        "",
        "a\\b",
        "a/\n",
        "a b",
        "é",
        "a/" + "x" * 600,
        ".icg/lock",
    ],
)
def test_keys_that_could_leave_the_root_are_refused(store, key):
    for use in (store.get, store.exists, store.delete, store.get_with_etag, lambda key: store.put(key, b"x")):
        with pytest.raises(DataCorrupt, match="unsafe object key"):
            use(key)


def test_files_go_in_and_out(store, tmp_path: Path):
    source = tmp_path / "source.bin"
    source.write_bytes(bytes(range(256)) * 40_000)
    store.upload("blobs/big.bin", source)
    store.download("blobs/big.bin", tmp_path / "deep" / "copy.bin")
    assert (tmp_path / "deep" / "copy.bin").read_bytes() == source.read_bytes()
    with pytest.raises(DataMissing):
        store.download("blobs/none.bin", tmp_path / "none.bin")
    assert not (tmp_path / "none.bin").exists()


def test_address_leads_to_the_object(store):
    store.put("a/b.txt", b"found")
    address = store.address("a/b.txt")
    assert address.startswith(store.uri)
    path = store.local_path("a/b.txt")
    if path is not None:
        assert Path(address).read_bytes() == path.read_bytes() == b"found"
    else:
        assert address.startswith("s3://")


def test_folder_with_a_link_out_of_it_is_still_a_plain_folder_of_objects(tmp_path: Path):
    store = open_store(f"file://{tmp_path}/store")
    store.put("a", b"1")
    assert (tmp_path / "store" / "a").read_bytes() == b"1"
    assert list(store.list("")) == ["a"], "lock and staging are no objects"


def test_s3_without_bucket_or_answer_says_what_to_do(moto_store_uri, monkeypatch):
    with pytest.raises(SettingsError, match="s3://bucket/prefix"):
        open_store("s3://")
    with pytest.raises(IcgError, match="create the bucket"):
        open_store("s3://no-such-bucket/x").put("a", b"1")
