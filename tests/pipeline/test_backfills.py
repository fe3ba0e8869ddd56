"""Back-fills beside a daily run (benchmarks/backfills.py: two of five days); slow: two of one day each."""

import os
import tempfile
import time
from datetime import date
from pathlib import Path

import pytest

from benchmarks import backfills
from benchmarks.chaos_ground import contents, differences, reference
from icg_tasks.lake.store import open_store


def test_ranges_follow_each_other_and_the_daily_run_is_behind_them() -> None:
    order = backfills.order_of(2)
    assert order.first == [date(2026, 3, 10), date(2026, 3, 11)]
    assert order.second == [date(2026, 3, 12), date(2026, 3, 13)]
    assert order.daily == date(2026, 3, 14)
    assert order.days == sorted(order.days)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(os.geteuid() != 0, reason="starts PostgreSQL as its own user: as root only")
@pytest.mark.skipif(not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")), reason="needs Debian's postgresql")
def test_two_back_fills_beside_a_daily_run_leave_what_days_in_order_leave() -> None:
    order = backfills.order_of(1)
    with tempfile.TemporaryDirectory() as folder:
        keep = Path(folder)
        keep.chmod(0o755)  # user postgres looks into it
        wanted = reference(keep, order.days)
        assert wanted is not None
        assert backfills.live(keep, order, until=time.monotonic() + 3000)
        found = contents(open_store(str(keep / "together-3" / "store")))
    assert differences(wanted, found) == []
    assert len([key for key in found if key.startswith("covers/v1/blobs/")]) > 4
