"""A disk that takes no more, in words. Knows no key and no store."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from icg_tasks.contracts.errors import IcgError

_PROBLEMS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than this process may write (ulimit -f) or this file system can hold",
    errno.EROFS: "the file system is mounted read-only",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.EIO: "the disk fails",
}


@contextmanager
def room_on_disk(target: Path | None = None) -> Iterator[None]:
    """Raises IcgError for what a disk refuses inside; any other OSError passes."""
    try:
        yield
    except OSError as error:
        problem = _PROBLEMS.get(error.errno or 0)
        if problem is None:
            raise
        where = target or error.filename or "a temporary file"
        raise IcgError(
            f"cannot write {where}: {problem}. Nothing half-written is visible; mend that, then run the stage again"
        ) from error
