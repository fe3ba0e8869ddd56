"""An object store in memory whose every operation may be watched, delayed or killed, with a clock of its own.

A real store in all that it promises; the model check of collections schedules actors by its hook.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.partitions import checked_key
from icg_tasks.lake.store import Entry


class MemoryStore:
    """Objects by key. ``before`` is called ahead of each operation; each one takes a second of ``now``."""

    uri = "memory://store"

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.now = 1_000_000.0
        self.written = 0
        self.before: Callable[[str, str], None] = lambda operation, key: None

    def _step(self, operation: str, key: str) -> None:
        self.before(operation, key)
        self.now += 1.0
        self.written += operation.startswith(("put", "delete"))

    def get(self, key: str) -> bytes:
        found = self.get_with_etag(key)
        if found is None:
            raise DataMissing(f"no object {key!r}")
        return found[0]

    def get_with_etag(self, key: str) -> tuple[bytes, str] | None:
        self._step("get", key)
        found = self.objects.get(checked_key(key))
        return None if found is None else (found[0], _etag(found[0]))

    def etag(self, key: str) -> str | None:
        self._step("etag", key)
        found = self.objects.get(checked_key(key))
        return None if found is None else _etag(found[0])

    def put(self, key: str, data: bytes) -> None:
        self._step("put", key)
        self.objects[checked_key(key)] = (data, self.now)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self._step("put_if_absent", key)
        if key in self.objects:
            return False
        self.objects[checked_key(key)] = (data, self.now)
        return True

    def put_if_match(self, key: str, data: bytes, etag: str) -> bool:
        self._step("put_if_match", key)
        found = self.objects.get(checked_key(key))
        if found is None or _etag(found[0]) != etag:
            return False
        self.objects[key] = (data, self.now)
        return True

    def exists(self, key: str) -> bool:
        self._step("exists", key)
        return checked_key(key) in self.objects

    def size(self, key: str) -> int:
        self._step("size", key)
        if key not in self.objects:
            raise DataMissing(f"no object {key!r}")
        return len(self.objects[key][0])

    def list(self, prefix: str) -> Iterator[str]:
        for entry in self.entries(prefix):
            yield entry.key

    def entries(self, prefix: str) -> Iterator[Entry]:
        self._step("list", prefix)
        for key in sorted(key for key in self.objects if key.startswith(prefix)):
            if key in self.objects:
                data, modified = self.objects[key]
                yield Entry(key=key, size=len(data), modified=modified)

    def delete(self, key: str) -> None:
        self._step("delete", key)
        self.objects.pop(checked_key(key), None)

    def sweep(self, before: float) -> int:
        return 0  # a write is one step here

    def upload(self, key: str, path: Path) -> None:
        self.put(key, path.read_bytes())

    def download(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.get(key))

    def local_path(self, key: str) -> Path | None:
        return None

    def address(self, key: str) -> str:
        return f"{self.uri}/{key}"

    def presigned(self, key: str, seconds: int) -> str:
        return f"{self.uri}/{key}?seconds={seconds}"


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
