"""Opens the index that current.json names: in place where the store is a folder, else from a file fetched once.

Checked whole against its hash, before anybody reads it or behind the first answers. Files of a cache folder may be shared by
any number of processes.
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


def open_index(store: ObjectStore, file: PartitionFile, cache_folder: Path | None, *, check: bool = True) -> CoverIndex:
    """The index, memory-mapped; raises DataMissing and DataCorrupt. ``check`` False: by its size and header only."""
    key = checked_key(file.key)
    path = store.local_path(key)
    if path is not None:
        return _opened(path, store, file, check=check)
    if cache_folder is None:
        with tempfile.TemporaryDirectory(prefix="icg-covers-") as folder:  # the map outlives the file's name
            fetched = Path(folder) / "index"
            store.download(key, fetched)
            return _opened(fetched, store, file, check=True)
    cache_folder.mkdir(parents=True, exist_ok=True)
    kept = cache_folder / f"{file.sha256}{_SUFFIX}"
    if not kept.is_file() or kept.stat().st_size != file.size:
        store.download(key, kept)
    index = _opened(kept, store, file, check=check)
    _forget_older(cache_folder, kept)
    return index


def check_index(index: CoverIndex, file: PartitionFile) -> None:
    """Read all of it once; raises DataCorrupt where it is not what current.json names."""
    if index.sha256() != file.sha256:
        raise DataCorrupt(
            f"{index.path} is not the index that current.json names ({file.key}); delete it, publish that date again"
        )


def _opened(path: Path, store: ObjectStore, file: PartitionFile, *, check: bool) -> CoverIndex:
    index = CoverIndex(path, store.uri)
    if index.size != file.size:
        raise DataCorrupt(
            f"{path} has {index.size} bytes, not the {file.size} of {file.key}; delete it, publish that date again"
        )
    if check:
        check_index(index, file)
    return index


def _forget_older(folder: Path, newest: Path) -> None:
    """Keep the index in use and the one before it (for a roll-back)."""
    newest.touch()
    found = sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in found[_KEPT:]:
        path.unlink(missing_ok=True)
