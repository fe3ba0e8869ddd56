"""Opens the index that current.json names: in place where the store is a folder, else from a file fetched once.

Checked whole against its hash before anybody reads it. Files of a cache folder may be shared by any number of processes.
"""

import tempfile
from pathlib import Path

from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.contracts.partitions import checked_key
from icg_tasks.covers.index import CoverIndex
from icg_tasks.lake.partitions import PartitionFile
from icg_tasks.lake.store import ObjectStore

_KEPT = 2
_SUFFIX = ".icgindex"


def open_index(store: ObjectStore, file: PartitionFile, cache_folder: Path | None) -> CoverIndex:
    """The index, memory-mapped; raises DataMissing and DataCorrupt."""
    key = checked_key(file.key)
    path = store.local_path(key)
    if path is not None:
        return _checked(path, store, file)
    if cache_folder is None:
        with tempfile.TemporaryDirectory(prefix="icg-covers-") as folder:  # the map outlives the file's name
            fetched = Path(folder) / "index"
            store.download(key, fetched)
            return _checked(fetched, store, file)
    cache_folder.mkdir(parents=True, exist_ok=True)
    kept = cache_folder / f"{file.sha256}{_SUFFIX}"
    if not kept.is_file() or kept.stat().st_size != file.size:
        store.download(key, kept)
    index = _checked(kept, store, file)
    _forget_older(cache_folder, kept)
    return index


def _checked(path: Path, store: ObjectStore, file: PartitionFile) -> CoverIndex:
    index = CoverIndex(path, store.uri)
    if index.sha256() != file.sha256:
        raise DataCorrupt(
            f"{path} is not the index that current.json names ({file.key}); delete it, then publish that date again"
        )
    return index


def _forget_older(folder: Path, newest: Path) -> None:
    """Keep the index in use and the one before it (for a roll-back)."""
    newest.touch()
    found = sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in found[_KEPT:]:
        path.unlink(missing_ok=True)
