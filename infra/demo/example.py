"""A command to ask for one personalised cover, with a user and an item of this very day: names differ from key to key."""

import os
import shlex
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from icg_tasks.contracts.partitions import COVER_MANIFESTS, IMPRESSIONS_RAW
from icg_tasks.contracts.pseudonym import KEY_VARIABLE, pseudonym
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.covers.read import CoverReader
from icg_tasks.lake.partitions import find_partition, read_partition
from icg_tasks.lake.store import ObjectStore


def somebody_with_a_cover(store: ObjectStore, key: bytes) -> tuple[str, str] | None:
    """User (as the platform names them) and item whose cover is up and personalised; None where there is none."""
    with CoverReader(store) as reader:
        day = reader.day
        if day is None:
            return None
        rows = read_partition(store, COVER_MANIFESTS, day, ["segment_id", "item_id", "variant"]).to_pylist()
        mine = [row for row in rows if row["segment_id"] != EVERYONE and row["variant"] == 0]
        of = {row["segment_id"]: row["item_id"] for row in mine}
        for user in _users(store, day):
            segment = reader.segment(pseudonym(user, key), hashed=True)
            if segment in of:
                return user, of[segment]
    return None


def example_command(store: ObjectStore, place: str, home: Path, key: bytes) -> str | None:
    """For a shell in the current folder. ``place``: where the store lies once the demo is over; ``home``: the demo's, whose
    secrets hold the key unless the environment does.
    """
    found = somebody_with_a_cover(store, key)
    if found is None:
        return None
    words = [f"ICG_STORE={place if '://' in place else _short(Path(place))}"]
    if not os.environ.get(KEY_VARIABLE):
        words.append(f"{KEY_VARIABLE}=$(cat {_short(home / 'secrets' / 'pseudonym_key')})")
    user, item = map(shlex.quote, found)
    return " ".join([*words, ".venv/bin/icg covers get", "--user", user, "--item", item, "--out cover.webp"])


def _users(store: ObjectStore, day: date) -> Iterator[str]:
    """Of the day's raw rows, in the order of their first."""
    if find_partition(store, IMPRESSIONS_RAW, day) is not None:
        yield from read_partition(store, IMPRESSIONS_RAW, day, ["user_id"])["user_id"].unique().drop_null().to_pylist()


def _short(path: Path) -> str:
    """Relative where it lies below the current folder."""
    whole = path.absolute()
    return str(whole.relative_to(Path.cwd())) if whole.is_relative_to(Path.cwd()) else str(whole)
