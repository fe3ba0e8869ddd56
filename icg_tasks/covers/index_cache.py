"""Opens the index that current.json names: in place where the store is a folder, else from a file fetched once.

Its blocks are checked as they are first looked at, or all at once. Files of a cache folder may be shared by any number of
processes.
"""

import tempfile
from pathlib import Path

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.contracts.partitions import checked_key
from icg_tasks.covers.index import CoverIndex
from icg_tasks.covers.pointer import IndexEntry
from icg_tasks.lake.store import ObjectStore

_KEPT = 2
_SUFFIX = ".icgindex"


def open_index(store: ObjectStore, file: IndexEntry, cache_folder: Path | None, *, check: bool = False) -> CoverIndex:
    """The index, memory-mapped; raises DataMissing and DataCorrupt. ``check``: every block now, not when it is needed."""
    key = checked_key(file.key)
    path = store.local_path(key)
    if path is not None:
        return _opened(path, store, file, check=check)
    if cache_folder is None:
        with tempfile.TemporaryDirectory(prefix="icg-covers-") as folder:  # the map outlives the file's name
            fetched = Path(folder) / "index"
            store.download(key, fetched)
            return _opened(fetched, store, file, check=check)
    cache_folder.mkdir(parents=True, exist_ok=True)
    kept = cache_folder / f"{file.sha256}{_SUFFIX}"
    if not kept.is_file() or kept.stat().st_size != file.size:
        store.download(key, kept)
    try:
        index = _opened(kept, store, file, check=check)
    except DataCorrupt:
        kept.unlink(missing_ok=True)  # so that the next try fetches it again
        raise
    _forget_older(cache_folder, kept)
    return index


def discard(store: ObjectStore, file: IndexEntry, index: CoverIndex) -> None:
    """A damaged index: a fetched copy of it is not used again. What lies in the store itself stays, to be looked into."""
    if store.local_path(file.key) is None:
        index.path.unlink(missing_ok=True)


def _opened(path: Path, store: ObjectStore, file: IndexEntry, *, check: bool) -> CoverIndex:
    index = CoverIndex(path, store.uri, file.seal)
    problem = f"not the index that current.json names ({file.key}); delete it, publish that date again"
    if index.size != file.size:
        raise DataCorrupt(f"{path} has {index.size} bytes instead of {file.size}, it is {problem}")
    if check:
        index.check_all()
    if not file.seal and index.sha256() != file.sha256:
        raise DataCorrupt(f"{path} is {problem}")
    return index


def _forget_older(folder: Path, newest: Path) -> None:
    """Keep the index in use and the one before it (for a roll-back)."""
    newest.touch()
    found = sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in found[_KEPT:]:
        path.unlink(missing_ok=True)
