"""The index: every row is found, nothing else is, in whatever order it was written; damage is told."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.covers import index_build, index_columns
from icg_tasks.covers.index import COVER_ENTRY, USER_ENTRY, CoverIndex, user_key
from icg_tasks.covers.index_build import write_index
from icg_tasks.covers.index_seal import FORMER_BLOCK_BITS, block_hashes
from tests.covers.conftest import DAY

COLUMNS = ("segment_id", "item_id", "variant", "cover_id", "width", "height", "made_on")


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def users_table(rows: dict[str, str]) -> pa.Table:
    return pa.table({"user_id": pa.array(rows.keys(), pa.string()), "segment_id": pa.array(rows.values(), pa.string())})


def covers_table(keys: list[tuple[str, str, int]]) -> pa.Table:
    rows = [(*key, hashed(repr(key)), 64, 48, DAY.isoformat()) for key in keys]
    types = (pa.string(), pa.string(), pa.int32(), pa.string(), pa.int32(), pa.int32(), pa.string())
    return pa.table({name: pa.array([row[at] for row in rows], types[at]) for at, name in enumerate(COLUMNS)})


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
USERS = st.dictionaries(
    st.one_of(st.binary(min_size=16, max_size=16).map(bytes.hex), TEXT), st.sampled_from("abc"), max_size=60
)
KEYS = st.lists(st.tuples(st.sampled_from(["a", "b", "_all"]), TEXT, st.integers(0, 3)), unique=True, max_size=60)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(users=USERS, keys=KEYS, strangers=st.lists(TEXT, max_size=5))
def test_answers_are_those_of_plain_dictionaries(tmp_path: Path, users, keys, strangers) -> None:
    path = tmp_path / "index"
    write_index(path, DAY, [users_table(users)], [covers_table(keys)])
    index = CoverIndex(path, "/root")
    assert index.rows == (len(users), len(keys))
    known = set(keys)
    for user in [*users, *strangers]:
        segment = users.get(user)
        assert index.segment(user) == segment
        for _, item, variant in keys[:8]:
            wanted = next((key for key in ((segment, item, variant), ("_all", item, variant)) if key in known), None)
            found = index.cover(user, item, variant)
            assert (found is None) == (wanted is None)
            if found is not None:
                assert (found.segment_id, found.item_id, found.variant) == wanted
                assert (found.cover_id, found.width, found.height) == (hashed(repr(wanted)), 64, 48)
                assert found.address == f"/root/{found.blob}"


def test_the_same_rows_in_any_order_and_split_give_the_same_bytes(tmp_path: Path) -> None:
    users = {f"{number:032x}": f"s{number % 3}" for number in range(500)}
    keys = [(f"s{number % 3}", f"i{number}", 0) for number in range(500)]
    first = write_index(tmp_path / "a", DAY, [users_table(users)], [covers_table(keys)])
    backwards = dict(reversed(users.items()))
    second = write_index(
        tmp_path / "b", DAY, [users_table(backwards)], [covers_table(keys[300:][::-1]), covers_table(keys[:300])]
    )
    assert first == second
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest() == first.sha256
    assert first.size == (tmp_path / "a").stat().st_size


def test_a_parent_stands_between_a_segment_and_everybody(tmp_path: Path) -> None:
    keys = [("a", "i0", 0), ("b", "i1", 0), ("_all", "i0", 0), ("_all", "i1", 0), ("_all", "i2", 0)]
    write_index(tmp_path / "x", DAY, [users_table({"u": "a", "v": "c"})], [covers_table(keys)], parents={"a": "b", "c": "b"})
    index = CoverIndex(tmp_path / "x", "")
    assert [index.cover("u", item).segment_id for item in ("i0", "i1", "i2")] == ["a", "b", "_all"]
    assert [index.cover("v", item).segment_id for item in ("i0", "i1", "i2")] == ["_all", "b", "_all"]
    assert index.cover("stranger", "i1").segment_id == "_all"


def test_duplicates_and_ids_that_are_no_hashes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataCorrupt, match="user is there more than once"):
        write_index(tmp_path / "x", DAY, [users_table({"u": "a"})] * 2, [])
    with pytest.raises(DataCorrupt, match="pair of segment and item"):
        write_index(tmp_path / "x", DAY, [], [covers_table([("a", "i", 0)])] * 2)
    broken = covers_table([("a", "i", 0)])
    for wrong in ("not hex", "0" * 63 + "x", " " * 2 + "0" * 62, "0" * 62, "ä" * 32):
        broken = broken.set_column(3, "cover_id", pa.array([wrong]))
        with pytest.raises(DataCorrupt, match="64 hex digits"):
            write_index(tmp_path / "x", DAY, [], [broken])


@pytest.mark.parametrize("damage", ["empty", "magic", "header", "cut", "bits"])
def test_a_damaged_file_is_told_and_never_answers(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "index"
    seal = write_index(path, DAY, [users_table({"u": "a"})], [covers_table([("a", "i", 0)])]).seal
    data = path.read_bytes()
    changed = {
        "empty": b"",
        "magic": b"X" + data[1:],
        "header": data[:12] + b"!" + data[13:],
        "cut": data[:-30],
        "bits": data.replace(b'"bits": 0', b'"bits": 9'),
    }
    path.write_bytes(changed[damage])
    with pytest.raises(DataCorrupt, match="publish that date again"):
        CoverIndex(path, "", seal)
    with pytest.raises(DataMissing):
        CoverIndex(tmp_path / "none", "")


@pytest.mark.parametrize("bits", [14, FORMER_BLOCK_BITS])
def test_each_damaged_block_is_refused_and_all_others_answer(tmp_path: Path, monkeypatch, bits: int) -> None:
    monkeypatch.setattr(index_build, "BLOCK_BITS", bits)
    path, users = tmp_path / "index", {hashed(f"u{number}")[:32]: f"s{number % 3}" for number in range(4_000)}
    keys = [(f"s{number % 3}", f"i{number}", 0) for number in range(4_000)]
    seal = write_index(path, DAY, [users_table(users)], [covers_table(keys)]).seal
    data, whole = path.read_bytes(), CoverIndex(path, "", seal)
    asked = [(hashed(f"u{number}")[:32], f"i{number}") for number in range(0, 4_000, 7)]
    right = [whole.cover(*pair) for pair in asked]
    assert all(right)
    blocks = -(-len(data) >> bits)
    assert blocks > 4
    refusals = []
    for block in range(blocks):
        at = min((block << bits) + (5 << bits >> 3), len(data) - 1)
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        refused = 0
        try:
            index = CoverIndex(path, "", seal)
        except DataCorrupt:
            continue  # header or hashes
        for pair, cover in zip(asked, right, strict=True):
            try:
                assert index.cover(*pair) == cover
            except DataCorrupt:
                refused += 1
        refusals.append(refused)
        with pytest.raises(DataCorrupt, match=f"block {block}"):
            index.check_all()
    assert 0 < min(refusals) < len(asked), "each damage is met, and by those alone who ask for its block"
    path.write_bytes(data)
    whole.check_all()
    assert [whole.cover(*pair) for pair in asked] == right


def test_an_index_of_before_its_header_told_the_size_of_blocks_is_read(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(index_build, "BLOCK_BITS", FORMER_BLOCK_BITS)
    path, keys = tmp_path / "index", [("s0", f"i{number}", 0) for number in range(4_000)]
    write_index(path, DAY, [users_table({"u": "s0"})], [covers_table(keys)])
    data = path.read_bytes()
    assert data.count(b', "block_bits": 16') == 1
    start = int(data.partition(b'"hashes": ')[2].partition(b"}")[0])
    former = data[:start].replace(b', "block_bits": 16', b" " * 18)  # JSON may have spaces
    hashes = block_hashes(former, FORMER_BLOCK_BITS)
    path.write_bytes(former + hashes)
    index = CoverIndex(path, "", hashlib.sha256(hashes).hexdigest())
    index.check_all()
    assert all(index.cover("u", item) for _, item, _ in keys)
    path.write_bytes(data.replace(b'"block_bits": 16', b'"block_bits": 99'))
    with pytest.raises(DataCorrupt, match="publish that date again"):
        CoverIndex(path, "", hashlib.sha256(hashes).hexdigest())


def test_pieces_and_slices_of_tables_give_the_same_bytes(tmp_path: Path, monkeypatch) -> None:
    """Hashed and other user ids mixed, chunks, slices, and pieces of seven rows."""
    names = [hashed(str(number))[:32] if number % 10 else f"ä {number}" for number in range(200)]
    users = users_table({name: f"s{number % 3}" for number, name in enumerate(names)})
    covers = covers_table([(f"s{number % 3}", f"ö{number}", number % 2) for number in range(200)])
    covers = covers.set_column(4, "width", pa.array([64 + number % 5 for number in range(200)], pa.int32()))
    whole = write_index(tmp_path / "a", DAY, [users], [covers])
    monkeypatch.setattr(index_columns, "_BATCH_ROWS", 7)
    parts = [pa.concat_tables([covers.slice(50, 100), covers.slice(0, 50)]), covers.slice(150)]
    again = write_index(tmp_path / "b", DAY, [users.slice(3), users.slice(0, 3)], parts)
    assert again == whole
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    index = CoverIndex(tmp_path / "a", "", whole.seal)
    assert [index.segment(name) for name in names] == users["segment_id"].to_pylist()
    assert [index.cover(names[2], f"ö{number}", number % 2).width for number in (2, 8, 17)] == [66, 67, 66]


@pytest.mark.parametrize("column", ["user_id", "segment_id", "item_id", "cover_id"])
def test_a_row_that_lacks_something_is_refused(tmp_path: Path, column: str) -> None:
    users, covers = users_table({"u": "a"}), covers_table([("a", "i", 0)])
    table = users if column == "user_id" else covers
    table = table.set_column(table.column_names.index(column), column, pa.array([None], pa.string()))
    with pytest.raises(DataCorrupt, match="1 rows lack"):
        write_index(tmp_path / "x", DAY, [table if column == "user_id" else users], [covers if column == "user_id" else table])


def test_a_seal_of_another_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index"
    write_index(path, DAY, [users_table({"u": "a"})], [covers_table([("a", "i", 0)])])
    for seal in ("0" * 64, "no hash"):
        with pytest.raises(DataCorrupt, match="publish that date again"):
            CoverIndex(path, "", seal)


def test_only_lower_case_hashes_of_32_digits_stand_for_themselves() -> None:
    text = "00112233445566778899aabbccddeeff"
    assert user_key(text).hex() == text
    assert len({user_key(other) for other in (text, text.upper(), text[:-2], f" {text}", "")}) == 5
    assert (USER_ENTRY.size, COVER_ENTRY.size) == (20, 52)
