"""A store on a disk that takes no more: refused with what, where and what to do; what was there before stays whole."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from icg_tasks.contracts.errors import IcgError
from icg_tasks.covers.pointer import current_pointer
from icg_tasks.covers.read import CoverReader
from icg_tasks.lake.disk import room_on_disk
from icg_tasks.lake.store import open_store
from tests.conftest import REPOSITORY
from tests.covers.small_days import SmallDays

_UNDER_A_LIMIT = """
import resource, sys
from pathlib import Path
from icg_tasks.contracts.errors import IcgError
from icg_tasks.lake.store import open_store
store = open_store(sys.argv[1])
store.put("kept", b"one")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
big = Path(sys.argv[2])
tries = {
    "put": lambda: store.put("kept", bytes(5000)),
    "put_if_absent": lambda: store.put_if_absent("new", bytes(5000)),
    "put_if_match": lambda: store.put_if_match("kept", bytes(5000), store.etag("kept")),
    "upload": lambda: store.upload("kept", big),
    "download": lambda: store.download("big", big.with_name("out")),
}
for name, work in tries.items():
    try:
        work()
        print(name, "was written")
    except IcgError as error:
        print(name, error)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB; where mounting is not allowed the tests that need it are skipped."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_limit_on_file_size_is_told_and_nothing_is_torn(tmp_path: Path) -> None:
    store, big = open_store(str(tmp_path / "store")), tmp_path / "in"
    big.write_bytes(bytes(5000))
    store.put("big", bytes(5000))
    command = [sys.executable, "-c", _UNDER_A_LIMIT, str(tmp_path / "store"), str(big)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert set(said) == {"put", "put_if_absent", "put_if_match", "upload", "download"}
    assert all("ulimit -f" in text and str(tmp_path) in text for text in said.values())
    assert store.get("kept") == b"one"
    assert sorted(store.list("")) == ["big", "kept"]
    assert not list((tmp_path / "store" / ".icg" / "staging").iterdir())
    assert not (tmp_path / "out").exists()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


def test_a_full_disk_stops_a_publisher_and_yesterday_stays_up(small_disk: Path, tmp_path: Path) -> None:
    store = open_store(str(small_disk / "store"))
    days = SmallDays.within(store, tmp_path)
    days.publish(0, [1, 2])
    before = current_pointer(store)
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="space"):
        ballast.write_bytes(bytes(1_000_000))
    with pytest.raises(IcgError, match="the disk is full"):
        days.publish(1, [3, 4])
    reader = CoverReader(store)
    cover = reader.cover("0" * 32, "i0", hashed=True)
    assert reader.image(cover)
    assert current_pointer(store) == before
    ballast.unlink()
    days.publish(1, [3, 4])
    assert reader.refresh()
    assert reader.cover("0" * 32, "i0", hashed=True).cover_id != cover.cover_id


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO])
def test_what_a_disk_refuses_is_told_with_the_place(number: int) -> None:
    with pytest.raises(IcgError, match=r"cannot write /data/x: .*run the stage again"), room_on_disk(Path("/data/x")):
        raise OSError(number, os.strerror(number))
    with pytest.raises(InterruptedError), room_on_disk():
        raise InterruptedError(errno.EINTR, "another matter")
