"""An ingest that was killed goes on where it stopped: parts and covers that are there are not written again."""

from collections import Counter
from datetime import date

import pytest

from icg_tasks.intake import ingest
from icg_tasks.intake.sources import streamed
from icg_tasks.lake.folder import FolderStore
from icg_tasks.lake.partitions import find_partition, list_partition_dates

DAY = date(2026, 3, 10)
SMALL = ("features.window_days=2", "intake.non_clicks_per_click=1")


@pytest.fixture
def folder(tmp_path, noise):
    target = tmp_path / "ml"
    (target / "posters").mkdir(parents=True)
    for film in range(1, 13):
        (target / "posters" / f"{film}.jpg").write_bytes(noise(film, form="JPEG"))
    films = [f"{film},Film {film} (2000),Drama" for film in range(1, 13)]
    (target / "movies.csv").write_text("movieId,title,genres\n" + "\n".join(films) + "\n")
    rows = [
        f"{user},{1 + (user + step) % 12},4.0,{1_000_000_000 + 7_000 * user + step}" for user in range(40) for step in range(3)
    ]
    (target / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "\n".join(rows) + "\n")
    return target


def raw(store: FolderStore) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list("raw/")}


@pytest.mark.parametrize("dies_in", ["write_partition_part", "finish_partition"])
def test_a_killed_ingest_goes_on_and_ends_with_the_same_bytes(context, store, folder, tmp_path, monkeypatch, dies_in):
    monkeypatch.setattr(streamed, "BUCKET_EVENTS", 20)
    monkeypatch.setattr(ingest, "_NOTE_EVERY", 5)
    words = {"source": "movielens", "path": str(folder)}
    real, calls = getattr(ingest, dies_in), Counter()

    def dying(*given, **options):
        calls["made"] += 1
        if calls["made"] == 2:
            raise KeyboardInterrupt
        return real(*given, **options)

    monkeypatch.setattr(ingest, dies_in, dying)
    with pytest.raises(KeyboardInterrupt):
        ingest.run(context("ingest", DAY, *SMALL, **words))
    assert list_partition_dates(store, "raw/impressions") in ([], [date(2026, 3, 9)])
    monkeypatch.setattr(ingest, dies_in, real)
    put = Counter()
    written = store.put
    monkeypatch.setattr(store, "put", lambda key, data: (put.update([key]), written(key, data))[1])
    monkeypatch.setattr(streamed, "_spill", lambda *_: pytest.fail("events are sorted already"))
    outcome = ingest.run(context("ingest", DAY, *SMALL, **words))
    monkeypatch.undo()
    assert not [key for key in put if key.startswith("raw/images/")]
    assert outcome.counts["images"] == 12
    assert outcome.counts["rows"] == sum(find_partition(store, "raw/impressions", day).rows for day in outcome_days(store))
    stopped = raw(store)
    monkeypatch.setattr(streamed, "BUCKET_EVENTS", 20)
    for key in list(store.list("")):
        store.delete(key)
    ingest.run(context("ingest", DAY, *SMALL, **words))
    assert raw(store) == stopped


def outcome_days(store: FolderStore) -> list[date]:
    days = list_partition_dates(store, "raw/impressions")
    assert len(days) == 2
    return days
