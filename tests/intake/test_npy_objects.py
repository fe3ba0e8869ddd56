"""Object files are read value by value: everything plain comes through, and nothing else is ever touched."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.intake.npy_objects import read_npy

LIMIT = 10_000_000
PLAIN: dict[Any, Any] = {
    1: {"genre": [[1, 2, 3], []], "title": "Le Château (1986)", "text": ""},
    "numbers": (-5, 2**70, 1.5, True, False, None),
    3: (np.int64(7), np.float32(0.5), np.bool_(True)),
    "set": {1, 2},
    "empty": [{}, (), []],
}


def saved(folder: Path, value: Any, name: str = "found.npy") -> Path:
    path = folder / name
    np.save(path, value, allow_pickle=True)
    return path


def with_body(folder: Path, body: bytes) -> Path:
    """A file whose header promises objects and whose body is anything."""
    path = saved(folder, np.array({}, dtype=object))
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\n") + 1] + body)
    return path


def test_plain_values_come_through(tmp_path: Path) -> None:
    found = read_npy(saved(tmp_path, np.array(PLAIN, dtype=object)), LIMIT)
    assert found == PLAIN
    assert list(map(type, found[3])) == [int, float, bool]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_whatever_protocol_they_were_written_with(tmp_path: Path, protocol: int) -> None:
    plain = {"a": [1, 2, 300, 70_000, 2**40], "é" * 300: {"x": (1, 2, 3, 4)}, "f": np.float64(2.5).item()}
    body = __import__("pickle").dumps(np.array([plain, None], dtype=object), protocol=protocol)
    if protocol == 2:
        with pytest.raises(DataCorrupt, match=r"the name '_codecs.encode'"):  # bytes spelled as a call
            read_npy(with_body(tmp_path, body), LIMIT)
        return
    assert read_npy(with_body(tmp_path, body), LIMIT) == [plain, None]


def test_the_names_of_older_numpy_are_the_same(tmp_path: Path) -> None:
    body = __import__("pickle").dumps(np.array({"n": np.int32(4)}, dtype=object), protocol=3)
    assert b"numpy._core.multiarray" in body
    old = body.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert read_npy(with_body(tmp_path, old), LIMIT) == {"n": 4}


def test_arrays_inside_come_through(tmp_path: Path) -> None:
    by_columns = np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3))
    inside = {"a": np.arange(5.0), "b": by_columns, "c": np.array(["x", "yy"]), "d": np.zeros((0, 3)), "e": [np.ones(2)]}
    found = read_npy(saved(tmp_path, np.array(inside, dtype=object)), LIMIT)
    assert found.keys() == inside.keys()
    for name in "abcd":
        assert np.array_equal(found[name], inside[name])
    assert np.array_equal(found["e"][0], np.ones(2))
    assert read_npy(saved(tmp_path, np.array(["a", None], dtype=object)), LIMIT) == ["a", None]


def test_arrays_without_objects_are_numpys_own(tmp_path: Path) -> None:
    assert read_npy(saved(tmp_path, np.array(["a.jpg", "b.jpg"])), LIMIT).tolist() == ["a.jpg", "b.jpg"]


class Calls:
    """What an attacker would put there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_nothing_in_a_file_is_ever_called(tmp_path: Path) -> None:
    path = saved(tmp_path, np.array({"a": Calls(tmp_path / "made")}, dtype=object))
    with pytest.raises(DataCorrupt, match=r"found the name 'posix.mkdir'; nothing else is ever read"):
        read_npy(path, LIMIT)
    assert not (tmp_path / "made").exists()
    np.load(path, allow_pickle=True)  # numpy's own reader would have done it
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"\x80\x04cbuiltins\neval\n.", "the name 'builtins.eval'"),
        (b"\x80\x04\x8c\x05numpy\x8c\x04load\x93.", "the name 'numpy.load'"),
        (b"\x80\x04I1\nQ.", "the instruction BINPERSID"),
        (b"\x80\x04]\x8c\x01x\x85R.", "list where _Name was expected"),
        (b"\x80\x04}K\x01.", "too many values"),
        (b"\x80\x04a.", "an instruction without its values"),
        (b"\x80\x04]", "pickle exhausted"),
        (b"\x80\x04h\x05.", "found 5"),
        (b"\x80\x04(K\x01u.", "pop from empty list|list index out of range|argument 2"),
        (b"", "pickle exhausted"),
        (b"\x00\x01\x02", "opcode"),
    ],
)
def test_bodies_that_are_no_plain_values_are_refused(tmp_path: Path, body: bytes, found: str) -> None:
    with pytest.raises(DataCorrupt, match=found):
        read_npy(with_body(tmp_path, body), LIMIT)


def test_sizes_are_bounded_and_must_be_true(tmp_path: Path) -> None:
    path = saved(tmp_path, np.zeros(1_000))
    with pytest.raises(DataCorrupt, match=r"8128 bytes, more than intake.max_raw_file_bytes=100"):
        read_npy(path, 100)
    path.write_bytes(path.read_bytes().replace(b"(1000,)", b"(9" + b"0" * 4 + b",)"))
    with pytest.raises(DataCorrupt, match=r"an array of shape \(90000,\) in a file of"):
        read_npy(path, LIMIT)
    big = __import__("pickle").dumps(np.array({"a": np.zeros(4)}, dtype=object), protocol=4)
    with pytest.raises(DataCorrupt, match="whose bytes do not fit it"):
        read_npy(with_body(tmp_path, big.replace(b"K\x04\x85", b"K\xff\x85")), LIMIT)


def test_no_such_file_and_no_such_format(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="no file"):
        read_npy(tmp_path / "none.npy", LIMIT)
    (tmp_path / "text.npy").write_text("a,b\n1,2\n")
    with pytest.raises(DataCorrupt, match="magic string"):
        read_npy(tmp_path / "text.npy", LIMIT)
