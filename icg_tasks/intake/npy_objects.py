"""Reads .npy files of Python objects without unpickling: a small machine that knows plain values and nothing that could run.

Dictionaries, lists, tuples, sets, texts, numbers, None, numpy scalars and arrays of them are built; every other instruction or
name is an error that says which. No class is looked up, no function of the file is called. Knows no data set.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickletools import genops
from typing import IO, Any, Final, TypeVar

import numpy as np

from icg_tasks.contracts.errors import DataCorrupt, DataMissing

T = TypeVar("T")

_NAMES: Final = {
    f"numpy.{package}.multiarray {name}": name for package in ("core", "_core") for name in ("_reconstruct", "scalar")
} | {"numpy ndarray": "ndarray", "numpy dtype": "dtype"}
"""Names that may stand in a file, and what they are here; all are built by this module itself."""
_KINDS: Final = "biuf"
"""Kinds of numpy numbers that may be built from bytes: truth, whole numbers, floats."""


@dataclass(frozen=True)
class _Name:
    """A name of the table above; never the thing itself."""

    name: str


@dataclass
class _Dtype:
    """A numpy type by its short text; its byte order comes later."""

    text: str
    order: str = "|"

    @property
    def holds_objects(self) -> bool:
        return self.text.lstrip("|<>=")[:1] == "O"

    def made(self) -> np.dtype[Any]:
        """The type itself; raises ValueError for anything but numbers and texts."""
        plain = self.text.lstrip("|<>=")
        if plain[:1] not in {*_KINDS, "U"} or not plain[1:].isdigit():
            raise ValueError(f"numpy type {self.text!r}")
        return np.dtype(("" if self.order in "|=" else self.order) + plain)


class _Array:
    """An array under construction."""

    def __init__(self) -> None:
        self.value: Any = None

    def build(self, state: Any) -> None:
        """``state``: version, shape, type, whether columns come first, bytes or a list of objects."""
        _, shape, dtype, by_columns, data = state
        if not isinstance(dtype, _Dtype) or not all(isinstance(side, int) and side >= 0 for side in shape):
            raise ValueError("an array without a plain type and shape")
        count = int(np.prod(shape, dtype=object)) if shape else 1
        if dtype.holds_objects:
            if not isinstance(data, list) or len(data) != count or len(shape) > 1:
                raise ValueError(f"an array of objects of shape {shape}")
            self.value = data if shape else data[0]
            return
        made = dtype.made()
        if not isinstance(data, bytes) or len(data) != count * made.itemsize:
            raise ValueError(f"an array of shape {shape} whose bytes do not fit it")
        flat = np.frombuffer(data, dtype=made) if count else np.empty(0, dtype=made)
        self.value = flat.reshape(shape, order="F" if by_columns else "C")


def read_npy(path: Path, max_bytes: int) -> Any:
    """The file's array, or where it holds objects, its list (or, without a shape, its one value).

    Raises:
        DataMissing: no such file.
        DataCorrupt: no .npy file, larger than ``max_bytes``, or it holds anything but plain values.
    """
    if not path.is_file():
        raise DataMissing(f"no file {path}; get the data again, or name the folder that holds it (--path)")
    if path.stat().st_size > max_bytes:
        raise DataCorrupt(f"{path} has {path.stat().st_size} bytes, more than intake.max_raw_file_bytes={max_bytes}")
    try:
        with path.open("rb") as file:
            if _holds_objects(file, path.stat().st_size):
                return _plain(_Machine().run(file))
        return np.load(path, allow_pickle=False)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, EOFError, OverflowError) as error:
        raise DataCorrupt(
            f"{path}: expected a .npy file of plain values (dictionaries, lists, texts, numbers, numpy arrays of them), found "
            f"{error}; nothing else is ever read from such a file: get it again from its publisher"
        ) from error


def _holds_objects(file: IO[bytes], size: int) -> bool:
    """Reads the header; the file then stands at its data. Raises ValueError where these cannot be as many as it says."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"format version {version}")
    shape, _, dtype = readers[version](file)
    if not dtype.hasobject and int(np.prod(shape, dtype=object)) * dtype.itemsize > size:
        raise ValueError(f"an array of shape {shape} in a file of {size} bytes")
    return bool(dtype.hasobject)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, _Array) else value


class _Machine:
    """A stack, a memo, and one method for each instruction that is known."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.steps: dict[str, Callable[[Any], None]] = {
            "MARK": lambda _: self.marks.append(len(self.stack)),
            "EMPTY_DICT": lambda _: self.stack.append({}),
            "EMPTY_LIST": lambda _: self.stack.append([]),
            "EMPTY_TUPLE": lambda _: self.stack.append(()),
            "EMPTY_SET": lambda _: self.stack.append(set()),
            "NONE": lambda _: self.stack.append(None),
            "NEWTRUE": lambda _: self.stack.append(True),
            "NEWFALSE": lambda _: self.stack.append(False),
            "DICT": lambda _: self.stack.append(_pairs(self._to_mark())),
            "LIST": lambda _: self.stack.append(self._to_mark()),
            "TUPLE": lambda _: self.stack.append(tuple(self._to_mark())),
            "TUPLE1": lambda _: self.stack.append(tuple(map(_plain, self._top(1)))),
            "TUPLE2": lambda _: self.stack.append(tuple(map(_plain, self._top(2)))),
            "TUPLE3": lambda _: self.stack.append(tuple(map(_plain, self._top(3)))),
            "APPEND": lambda _: self._extend(self._top(1)),
            "APPENDS": lambda _: self._extend(self._to_mark()),
            "ADDITEMS": lambda _: self._add(self._to_mark()),
            "SETITEM": lambda _: self._set(self._top(2)),
            "SETITEMS": lambda _: self._set(self._to_mark()),
            "MEMOIZE": lambda _: self._remember(len(self.memo)),
            "GLOBAL": self._name,
            "STACK_GLOBAL": lambda _: self._name(" ".join(self._top(2))),
            "REDUCE": lambda _: self._reduce(*self._top(2)),
            "BUILD": lambda _: self._build(*self._top(2)),
        }
        self.steps |= dict.fromkeys(("PROTO", "FRAME"), lambda _: None)
        self.steps |= dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), self._remember)
        self.steps |= dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda place: self.stack.append(self.memo[place]))
        numbers = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
        texts = ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8")
        self.steps |= dict.fromkeys((*numbers, *texts), self.stack.append)

    def run(self, file: IO[bytes]) -> Any:
        """The one value that is left; raises ValueError for an instruction that is not known."""
        for instruction, argument, place in genops(file):
            if instruction.name == "STOP":
                (found,) = self.stack
                return found
            if instruction.name not in self.steps:
                raise ValueError(f"the instruction {instruction.name} at byte {place}")
            self.steps[instruction.name](argument)
        raise ValueError("an end before the end")

    def _top(self, count: int) -> list[Any]:
        if len(self.stack) < count + (self.marks[-1] if self.marks else 0):
            raise ValueError("an instruction without its values")
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def _to_mark(self) -> list[Any]:
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return [_plain(value) for value in taken]

    def _extend(self, values: list[Any]) -> None:
        _typed(self.stack[-1], list).extend(_plain(value) for value in values)

    def _add(self, values: list[Any]) -> None:
        _typed(self.stack[-1], set).update(values)

    def _set(self, values: list[Any]) -> None:
        _typed(self.stack[-1], dict).update(_pairs(values))

    def _remember(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def _name(self, words: str) -> None:
        if words not in _NAMES:
            raise ValueError(f"the name {words.replace(' ', '.')!r}")
        self.stack.append(_Name(_NAMES[words]))

    def _reduce(self, name: Any, arguments: tuple[Any, ...]) -> None:
        """What numpy would have called, built here."""
        called = _typed(name, _Name).name
        if called == "dtype":
            self.stack.append(_Dtype(str(arguments[0])))
        elif called == "_reconstruct" and arguments[0] == _Name("ndarray"):
            self.stack.append(_Array())
        elif called == "scalar" and isinstance(arguments[1], bytes):
            self.stack.append(np.frombuffer(arguments[1], dtype=_typed(arguments[0], _Dtype).made(), count=1)[0].item())
        else:
            raise ValueError(f"a call of {called}")

    def _build(self, thing: Any, state: Any) -> None:
        if isinstance(thing, _Dtype):
            thing.order = str(state[1])
        else:
            _typed(thing, _Array).build(state)
        self.stack.append(thing)


def _pairs(values: list[Any]) -> dict[Any, Any]:
    plain = [_plain(value) for value in values]
    return {sys.intern(key) if type(key) is str else key: value for key, value in zip(plain[::2], plain[1::2], strict=True)}


def _typed(thing: Any, wanted: type[T]) -> T:
    if not isinstance(thing, wanted):
        raise ValueError(f"{type(thing).__name__} where {wanted.__name__} was expected")
    return thing
