"""MovieLens in its three generations: the same ratings give the same clicks, in the order of time, beside drawn non-clicks."""

from collections import Counter
from datetime import date, timedelta

import pytest

from icg_tasks.config import load_settings
from icg_tasks.contracts.errors import DataCorrupt, DataMissing
from icg_tasks.contracts.schemas import RAW_IMPRESSIONS, RAW_ITEMS
from icg_tasks.intake.sources import streamed
from icg_tasks.intake.sources.movielens import read_movielens

DAY = date(2026, 3, 10)
SETTINGS = load_settings("tiny", ["features.window_days=4"])
FILMS = [
    (1, "Toy Story (1995)", "Animation|Comedy"),
    (2, "Heat (1995)", "Crime"),
    (3, 'Quote, "unquote" (1999)', "(no genres listed)"),
]
FILMS += [(number, f"Film {number} (2000)", "Drama") for number in range(4, 21)]
# user, film, rating, second: users come one after another, each rating five of the films
RATINGS = [
    (user, 1 + (user * 3 + step) % 20, 3.5, 1_000_000_000 + 90_000 * user + 40 * step)
    for user in range(1, 31)
    for step in range(5)
]


def packed(folder, layout):
    folder.mkdir(exist_ok=True)
    if layout == "csv":
        lines = [f"{user},{film},{rating},{second}" for user, film, rating, second in RATINGS]
        (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "\n".join(lines) + "\n")
        quoted = [f'{film},"{title.replace(chr(34), chr(34) * 2)}",{genres}' for film, title, genres in FILMS]
        (folder / "movies.csv").write_text("movieId,title,genres\n" + "\n".join(quoted) + "\n")
    elif layout == "dat":
        lines = [f"{user}::{film}::{rating:.0f}::{second}" for user, film, rating, second in RATINGS]
        (folder / "ratings.dat").write_text("\n".join(lines) + "\n", encoding="latin-1")
        films = [f"{film}::{title}::{genres}" for film, title, genres in FILMS]
        (folder / "movies.dat").write_text("\n".join(films) + "\n", encoding="latin-1")
    else:
        lines = [f"{user}\t{film}\t{rating:.0f}\t{second}" for user, film, rating, second in RATINGS]
        (folder / "u.data").write_text("\n".join(lines) + "\n")
        flags = {"Animation|Comedy": 3, "Crime": 6, "(no genres listed)": 0, "Drama": 8}
        films = [
            "|".join(
                [
                    str(film),
                    title,
                    "01-Jan-1995",
                    "",
                    "http://x",
                    *("1" if place == flags[genres] else "0" for place in range(19)),
                ]
            )
            for film, title, genres in FILMS
        ]
        (folder / "u.item").write_text("\n".join(films) + "\n", encoding="latin-1")
    return folder


@pytest.fixture
def posters(covers):
    return lambda folder, count=20: covers(folder / "posters", [str(number) for number in range(1, count + 1)])


def clicks_of(data):
    rows = [row for day in data.days for row in data.impressions[day].to_pylist() if row["clicked"]]
    return [(row["user_id"], row["item_id"]) for row in rows]


@pytest.mark.parametrize("layout", ["csv", "dat", "u.data"])
def test_every_generation_gives_the_same_clicks_in_the_order_of_time(tmp_path, bench, posters, layout):
    folder = packed(tmp_path / "ml", layout)
    posters(folder)
    data = read_movielens(folder, DAY, SETTINGS, bench)
    assert data.items.schema == RAW_ITEMS
    titles = dict(zip(data.items["item_id"].to_pylist(), data.items["title"].to_pylist(), strict=True))
    assert titles["movielens-1"] == "Toy Story"
    assert titles["movielens-3"] == 'Quote, "unquote"'
    expected = [(f"user-{user}", f"movielens-{film}") for user, film, _, _ in sorted(RATINGS, key=lambda row: row[3])]
    assert clicks_of(data) == expected
    assert data.days == [DAY - timedelta(days=back) for back in (3, 2, 1, 0)]


def test_days_are_of_one_size_and_non_clicks_are_new_to_their_user(tmp_path, bench, posters):
    folder = packed(tmp_path / "ml", "csv")
    posters(folder)
    data = read_movielens(
        folder, DAY, load_settings("tiny", ["features.window_days=4", "intake.non_clicks_per_click=1"]), bench
    )
    sizes = [data.impressions[day].num_rows for day in data.days]
    assert sum(sizes) == 150 * 2
    assert max(sizes) < 1.4 * min(sizes)
    assert all(table.schema == RAW_IMPRESSIONS for table in data.impressions.values())
    rows = [row for table in data.impressions.values() for row in table.to_pylist()]
    assert len({row["impression_id"] for row in rows}) == len(rows)
    assert max(Counter((row["user_id"], row["item_id"]) for row in rows).values()) == 1
    assert {row["shown_at"][:10] for row in rows} == {day.isoformat() for day in data.days}


def test_buckets_bound_the_memory_and_change_no_click(tmp_path, bench, posters, monkeypatch):
    folder = packed(tmp_path / "ml", "csv")
    posters(folder)
    whole = read_movielens(folder, DAY, SETTINGS, bench)
    assert len(whole.parts) == 1
    clicks = sorted(clicks_of(whole))
    (bench.scratch / "laid.json").unlink()
    monkeypatch.setattr(streamed, "BUCKET_EVENTS", 20)
    cut = read_movielens(folder, DAY, SETTINGS, bench)
    assert len(cut.parts) == 8
    assert sorted(clicks_of(cut)) == clicks
    part = cut.parts[3]()
    users = {user for table in part.values() for user in table["user_id"].to_pylist()}
    assert 0 < len(users) < 30
    again = cut.parts[3]()
    assert all(part[day].equals(again[day]) for day in cut.days)


def test_a_finished_pass_is_not_made_again(tmp_path, bench, posters, monkeypatch):
    folder = packed(tmp_path / "ml", "csv")
    posters(folder)
    first = read_movielens(folder, DAY, SETTINGS, bench)
    monkeypatch.setattr(streamed, "_spill", lambda *_: pytest.fail("read again"))
    again = read_movielens(folder, DAY, SETTINGS, bench)
    assert clicks_of(again) == clicks_of(first)


def test_films_without_a_poster_stay_out_and_are_counted(tmp_path, bench, posters):
    folder = packed(tmp_path / "ml", "csv")
    posters(folder, 10)
    data = read_movielens(folder, DAY, SETTINGS, bench)
    assert data.items.num_rows == 10
    kept = [row for row in RATINGS if row[1] <= 10]
    assert data.counts == {"items": 10, "events": len(kept), "events_left_out": 150 - len(kept)}


def test_a_share_of_users_is_the_same_users_every_time(tmp_path, bench, posters):
    folder = packed(tmp_path / "ml", "csv")
    posters(folder)
    half = load_settings("tiny", ["features.window_days=4", "intake.user_share=0.5"])
    users = {user for user, _ in clicks_of(read_movielens(folder, DAY, half, bench))}
    assert 3 < len(users) < 27
    (bench.scratch / "laid.json").unlink()
    assert {user for user, _ in clicks_of(read_movielens(folder, DAY, half, bench))} == users


def test_what_is_wrong_is_said_with_its_place(tmp_path, bench, posters):
    with pytest.raises(DataMissing, match=r"ratings\.csv, ratings\.dat, u\.data"):
        read_movielens(tmp_path, DAY, SETTINGS, bench)
    folder = packed(tmp_path / "ml", "csv")
    with pytest.raises(DataMissing, match="no pictures"):
        read_movielens(folder, DAY, SETTINGS, bench)
    posters(folder)
    text = (folder / "ratings.csv").read_text()
    (folder / "ratings.csv").write_text(text.replace("userId", "reader"))
    with pytest.raises(DataCorrupt, match="userId"):
        read_movielens(folder, DAY, SETTINGS, bench)
    (folder / "ratings.csv").write_text(text + "seven,1,3.5,1000000000\n")
    with pytest.raises(DataCorrupt, match=r"ratings\.csv.*seven"):
        read_movielens(folder, DAY, SETTINGS, bench)
    (folder / "ratings.csv").write_text(text + "1,2\n" * 40)
    with pytest.raises(DataCorrupt, match="40 lines"):
        read_movielens(folder, DAY, SETTINGS, bench)
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,99,3.0,1000000000\n")
    with pytest.raises(DataCorrupt, match="none of 1 events"):
        read_movielens(folder, DAY, SETTINGS, bench)
