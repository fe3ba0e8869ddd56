"""Which keys of a store in a folder are read, written and deleted while something runs in this process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from icg_tasks.lake.folder import FolderStore


@dataclass
class Touched:
    """Keys. A key that only somebody asked for, and that is not there, counts as none."""

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    def __or__(self, other: "Touched") -> "Touched":
        """Both together."""
        return Touched(self.read | other.read, self.written | other.written, self.deleted | other.deleted)


@contextmanager
def touching() -> Iterator[Touched]:
    """What is touched inside. Half-written files are nobody's."""
    found = Touched()

    def noting(name: str, keys: set[str]) -> Callable[..., Any]:
        asked = getattr(FolderStore, name)

        def method(self: FolderStore, key: str, *rest: Any) -> Any:
            there = keys is not found.read or self.exists(key)
            answer = asked(self, key, *rest)
            if there and answer is not False:
                keys.add(key)
            return answer

        return method

    with pytest.MonkeyPatch.context() as patch:
        for name in ("get", "download", "local_path"):
            patch.setattr(FolderStore, name, noting(name, found.read))
        for name in ("put", "put_if_absent", "put_if_match", "upload"):
            patch.setattr(FolderStore, name, noting(name, found.written))
        patch.setattr(FolderStore, "delete", noting("delete", found.deleted))
        yield found
