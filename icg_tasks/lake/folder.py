"""A local folder as object store: atomic rename for visibility, a lock file for conditional writes."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from icg_tasks.contracts.errors import DataMissing
from icg_tasks.contracts.partitions import checked_key
from icg_tasks.lake.disk import room_on_disk
from icg_tasks.lake.store import Entry

_HIDDEN = ".icg"


class FolderStore:
    """Objects are files below ``root``; ``root/.icg`` holds the lock and half-written files, invisible to readers."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._staging = self.root / _HIDDEN / "staging"

    @property
    def uri(self) -> str:
        """The folder's absolute path."""
        return str(self.root)

    def get(self, key: str) -> bytes:
        """The object's bytes; raises DataMissing."""
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise DataMissing(f"no object {key!r} in {self.uri}") from None

    def get_with_etag(self, key: str) -> tuple[bytes, str] | None:
        """Bytes and content hash, or None."""
        try:
            data = self.get(key)
        except DataMissing:
            return None
        return data, hashlib.sha256(data).hexdigest()

    def put(self, key: str, data: bytes) -> None:
        """Write or overwrite, visible at once and whole."""
        self._replace(self._path(key), data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Exactly one of many racers gets True."""
        path = self._path(key)
        with self._lock():
            if path.exists():
                return False
            self._replace(path, data)
            return True

    def put_if_match(self, key: str, data: bytes, etag: str) -> bool:
        """Overwrite only the version with this etag."""
        with self._lock():
            found = self.get_with_etag(key)
            if found is None or found[1] != etag:
                return False
            self._replace(self._path(key), data)
            return True

    def exists(self, key: str) -> bool:
        """Whether there is an object."""
        return self._path(key).is_file()

    def size(self, key: str) -> int:
        """Bytes of the file; raises DataMissing."""
        path = self._path(key)
        if not path.is_file():
            raise DataMissing(f"no object {key!r} in {self.uri}")
        return path.stat().st_size

    def etag(self, key: str) -> str | None:
        """Content hash, or None."""
        found = self.get_with_etag(key)
        return None if found is None else found[1]

    def list(self, prefix: str) -> Iterator[str]:
        """All keys that start with the prefix, sorted."""
        folder = self.root / prefix.rpartition("/")[0]
        found = []
        for parent, folders, names in os.walk(folder):
            if Path(parent) == self.root:
                folders[:] = [name for name in folders if name != _HIDDEN]
            relative = Path(parent).relative_to(self.root).as_posix()
            found += [name if relative == "." else f"{relative}/{name}" for name in names]
        yield from sorted(key for key in found if key.startswith(prefix))

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Like ``list``; the time is that of the file. What is deleted meanwhile is left out."""
        for key in self.list(prefix):
            try:
                found = self._path(key).stat()
            except FileNotFoundError:
                continue
            yield Entry(key=key, size=found.st_size, modified=found.st_mtime)

    def delete(self, key: str) -> None:
        """Remove; silent where there is nothing."""
        self._path(key).unlink(missing_ok=True)

    def sweep(self, before: float) -> int:
        """Remove files that writers who were killed left half-written before a time."""
        removed = 0
        for staged in self._staging.iterdir() if self._staging.is_dir() else ():
            try:
                if staged.stat().st_mtime < before:
                    staged.unlink()
                    removed += 1
            except FileNotFoundError:  # its writer has finished
                continue
        return removed

    def upload(self, key: str, path: Path) -> None:
        """Copy a file in."""
        target = self._path(key)
        with self._staged(target) as staged, path.open("rb") as source, staged.open("wb") as sink:
            shutil.copyfileobj(source, sink)

    def download(self, key: str, path: Path) -> None:
        """Copy an object out."""
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")  # two may download the same
        data = self.get(key)
        try:
            with room_on_disk(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                partial.write_bytes(data)
                partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def local_path(self, key: str) -> Path | None:
        """The file itself."""
        return self._path(key)

    def address(self, key: str) -> str:
        """The file's absolute path."""
        return str(self._path(key))

    def presigned(self, key: str, seconds: int) -> str:  # noqa: ARG002 - the protocol's signature
        """The file's URI; a folder knows no end of permission."""
        return self._path(key).as_uri()

    def _path(self, key: str) -> Path:
        return self.root / checked_key(key)

    def _replace(self, path: Path, data: bytes) -> None:
        with self._staged(path) as staged:
            staged.write_bytes(data)

    @contextmanager
    def _staged(self, target: Path) -> Iterator[Path]:
        with room_on_disk(target):
            self._staging.mkdir(parents=True, exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._staging)
            os.close(handle)
            staged = Path(name)
            try:
                yield staged
                staged.chmod(0o644)
                staged.replace(target)
            finally:
                staged.unlink(missing_ok=True)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        (self.root / _HIDDEN).mkdir(parents=True, exist_ok=True)
        with (self.root / _HIDDEN / "lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
