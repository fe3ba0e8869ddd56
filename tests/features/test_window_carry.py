"""Which days are added to a former window and which are taken away; manifests alone, no Spark."""

from datetime import date, timedelta

from icg_tasks.contracts import schemas
from icg_tasks.contracts.partitions import USER_DAYS, USER_WINDOWS
from icg_tasks.features.window_carry import plan_carry
from icg_tasks.features.window_sums import carried_scale
from icg_tasks.lake.partitions import find_partition, write_partition
from icg_tasks.lake.store import open_store

START = date(2026, 3, 1)
WAY = {"encoder": "e", "width": 4, "buckets": 2}
WINDOW_DAYS = 6


def day_of(number):
    return START + timedelta(days=number)


def write_day(store, number, fingerprint="f"):
    said = {"fingerprint": f"{fingerprint}{number}", "buckets": 2}
    return write_partition(
        store, USER_DAYS, day_of(number), [schemas.USER_DAYS.empty_table()], schema=schemas.USER_DAYS, metadata=said
    )


def plan(store, number, way=None):
    days = {day_of(n): find_partition(store, USER_DAYS, day_of(n)) for n in range(max(0, number - WINDOW_DAYS + 1), number + 1)}
    return plan_carry(store, day_of(number), days, carried_scale(day_of(number), 7.0), way or WAY)


def keep(store, number):
    empty = [schemas.USER_WINDOWS.empty_table()]
    metadata = plan(store, number).metadata
    write_partition(store, USER_WINDOWS, day_of(number), empty, schema=schemas.USER_WINDOWS, metadata=metadata)


def numbers(partitions):
    return [(part.run_date - START).days for part in partitions]


def ready(tmp_path, until=9):
    store = open_store(str(tmp_path))
    for number in range(until + 1):
        write_day(store, number)
    keep(store, 8)
    return store


def test_today_comes_and_the_oldest_goes(tmp_path):
    change = plan(ready(tmp_path), 9).change
    assert (numbers(change.added), numbers(change.removed)) == ([9], [3])
    assert change.former.run_date == day_of(8)


def test_nothing_to_go_on_with_means_all_days(tmp_path):
    store = ready(tmp_path)
    assert plan(store, 7).change.former is None  # the window of a later day is not used
    assert numbers(plan(store, 7).change.added) == [2, 3, 4, 5, 6, 7]
    for way in (WAY | {"buckets": 3}, WAY | {"encoder": "other"}):
        assert plan(store, 9, way).change.former is None


def test_a_reopened_day_that_was_added_before_means_all_days(tmp_path):
    store = ready(tmp_path)
    write_day(store, 5, "late")
    change = plan(store, 9).change
    assert change.former is None
    assert numbers(change.added) == [4, 5, 6, 7, 8, 9]


def test_another_era_means_all_days(tmp_path):
    store = ready(tmp_path)
    days = {day_of(n): find_partition(store, USER_DAYS, day_of(n)) for n in range(4, 10)}
    other = carried_scale(day_of(9) + timedelta(days=56), 7.0)
    assert plan_carry(store, day_of(9), days, other, WAY).change.former is None


def test_more_to_change_than_to_add_up_means_all_days(tmp_path):
    store = ready(tmp_path, until=12)
    assert plan(store, 10).change.former is None  # two days come and two go: no less than six days anew
