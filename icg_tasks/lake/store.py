"""One interface over an object store: bytes by key, conditional writes, listing. Two backends: local folder and S3.

``open_store(uri)`` chooses: ``s3://bucket/prefix`` → S3 through boto3, anything else → a local folder. A write is atomic: a
reader sees the whole object or none of it. Etags are opaque texts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One object of a listing. ``modified`` is when it was last written, in seconds since 1970 by the store's own clock."""

    key: str
    size: int
    modified: float


class ObjectStore(Protocol):
    """Bytes by key. Keys are relative, slash-separated (contracts.partitions.checked_key)."""

    @property
    def uri(self) -> str:
        """Address of the root, for people and logs."""
        ...

    def get(self, key: str) -> bytes:
        """The object's bytes; raises DataMissing."""
        ...

    def get_with_etag(self, key: str) -> tuple[bytes, str] | None:
        """Bytes and etag, or None where there is no object."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write or overwrite."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write only where nothing is; False when something was there (exactly one of many racers gets True)."""
        ...

    def put_if_match(self, key: str, data: bytes, etag: str) -> bool:
        """Overwrite only the version with this etag; False when it has changed or gone."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is an object."""
        ...

    def size(self, key: str) -> int:
        """Bytes of the object, without reading it; raises DataMissing."""
        ...

    def etag(self, key: str) -> str | None:
        """The etag alone, as get_with_etag would give it, or None where there is no object."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """All keys that start with the prefix, sorted."""
        ...

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Like ``list``, with size and time of writing."""
        ...

    def delete(self, key: str) -> None:
        """Remove; silent where there is nothing."""
        ...

    def sweep(self, before: float) -> int:
        """Remove what writers who were killed left half-written, invisible, before a time (seconds since 1970); how many."""
        ...

    def upload(self, key: str, path: Path) -> None:
        """Write a file's content (streamed)."""
        ...

    def download(self, key: str, path: Path) -> None:
        """Read an object into a file (streamed, visible only when whole); raises DataMissing."""
        ...

    def local_path(self, key: str) -> Path | None:
        """The object as a file that may be read in place, or None where the store is remote."""
        ...

    def address(self, key: str) -> str:
        """Full address for people: a path or an s3:// URI."""
        ...

    def presigned(self, key: str, seconds: int) -> str:
        """An address that anybody may read the object at for so long: https (S3) or file: (a folder, for ever)."""
        ...


def open_store(uri: str) -> ObjectStore:
    """The store at ``s3://bucket/prefix``, ``file:///folder`` or a plain folder (created when missing)."""
    if uri.startswith("s3://"):
        from icg_tasks.lake.s3 import S3Store

        return S3Store.from_uri(uri)
    from icg_tasks.lake.folder import FolderStore

    return FolderStore(Path(uri.removeprefix("file://")))
