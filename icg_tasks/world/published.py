"""Which covers are up on a day: the newest manifest published before it, and the segments of that manifest's date.

The platform's side of the loop: it looks a user's segment up by keyed hash and shows that segment's cover. Clicks then follow
what the oracle's eye sees in the cover's pixels.
"""

import io
from collections.abc import Callable
from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from icg_tasks.config.settings import Settings
from icg_tasks.contracts.errors import DataCorrupt
from icg_tasks.contracts.partitions import COVER_MANIFESTS, USER_SEGMENTS
from icg_tasks.contracts.pseudonym import pseudonym, pseudonym_key
from icg_tasks.contracts.schemas import EVERYONE
from icg_tasks.lake.partitions import find_partition, latest_partition_before, read_partition
from icg_tasks.lake.store import ObjectStore
from icg_tasks.world.days import Cast, CoversUp
from icg_tasks.world.readers import reader_name

Seen = dict[str, NDArray[np.float32]]
"""Cover id to what the eye saw in it."""
_COLUMNS = ["segment_id", "item_id", "variant", "cover_id", "blob"]


def covers_up(
    store: ObjectStore, settings: Settings, day: date, cast: Cast, say: Callable[[str], None], seen: Seen | None = None
) -> CoversUp | None:
    """The covers users see on ``day``, or None where nothing was published before it.

    ``seen`` remembers what the eye saw in a cover from one day to the next.
    """
    published = latest_partition_before(store, COVER_MANIFESTS, day)
    if published is None or find_partition(store, USER_SEGMENTS, published) is None:
        return None
    manifest = read_partition(store, COVER_MANIFESTS, published, _COLUMNS)
    manifest = manifest.filter(pa.array([name in cast.shelf.row_of for name in manifest["item_id"].to_pylist()], pa.bool_()))
    if not manifest.num_rows:
        return None
    blobs = dict(zip(manifest["cover_id"].to_pylist(), manifest["blob"].to_pylist(), strict=True))
    say(f"{day}: {len(blobs)} covers of {published} are up")
    cover_ids = sorted(blobs)
    segments = [*sorted(set(manifest["segment_id"].to_pylist()) - {EVERYONE}), EVERYONE]
    return CoversUp(
        cover_ids=cover_ids,
        features_CF=_features(
            store, settings, {cover_id: blobs[cover_id] for cover_id in cover_ids}, {} if seen is None else seen
        ),
        segment_U=_segments_of(store, published, cast, segments),
        row_GIV=_lookup(manifest, cast, segments, cover_ids),
    )


def _lookup(manifest: pa.Table, cast: Cast, segments: list[str], cover_ids: list[str]) -> NDArray[np.int64]:
    """Cover rows by (segment, item, n-th variant), left-aligned, -1 where there is none."""
    segment_row, cover_row = {name: row for row, name in enumerate(segments)}, {name: row for row, name in enumerate(cover_ids)}
    found: dict[tuple[int, int], list[int]] = {}
    for entry in sorted(manifest.to_pylist(), key=lambda entry: (entry["segment_id"], entry["item_id"], entry["variant"])):
        place = segment_row[entry["segment_id"]], cast.shelf.row_of[entry["item_id"]]
        found.setdefault(place, []).append(cover_row[entry["cover_id"]])
    lookup = np.full((len(segments), len(cast.shelf.items), max(map(len, found.values()))), -1)
    for (segment, item), rows in found.items():
        lookup[segment, item, : len(rows)] = rows
    return lookup


def _segments_of(store: ObjectStore, published: date, cast: Cast, segments: list[str]) -> NDArray[np.int64]:
    """Segment row of each reader; who has none gets everybody's."""
    table = read_partition(store, USER_SEGMENTS, published)
    of_user = dict(zip(table["user_id"].to_pylist(), table["segment_id"].to_pylist(), strict=True))
    row = {name: number for number, name in enumerate(segments)}
    key, everyone = pseudonym_key(), len(segments) - 1
    hashed = (pseudonym(reader_name(cast.readers.first + number), key) for number in range(len(cast.readers)))
    return np.array([row.get(of_user.get(user, EVERYONE), everyone) for user in hashed])


def _features(store: ObjectStore, settings: Settings, blobs: dict[str, str], seen: Seen) -> NDArray[np.float32]:
    """What the oracle's eye sees in each cover (id to blob), in the given order."""
    from icg_tasks.world.sight import load_eye  # torch: only where covers are up

    new = {cover_id: blob for cover_id, blob in blobs.items() if cover_id not in seen}
    if new:
        images = np.stack([decode_cover(store.get(blob), blob, settings) for blob in new.values()])
        seen |= dict(zip(new, load_eye().features(images), strict=True))
    return np.stack([seen[cover_id] for cover_id in blobs])


def decode_cover(data: bytes, name: str, settings: Settings) -> NDArray[np.uint8]:
    """A cover's pixels at the world's size, uint8 (size, size, 3); raises DataCorrupt for anything that is not a sane image."""
    side = settings.covers.size_pixels
    try:
        with Image.open(io.BytesIO(data)) as image:
            if max(image.size) > 8 * side:
                raise DataCorrupt(f"{name} is {image.size[0]} x {image.size[1]} px, a cover of this world at most {8 * side}")
            square = image.convert("RGB")
            return np.asarray(square if square.size == (side, side) else square.resize((side, side)), dtype=np.uint8)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataCorrupt(f"{name} is not a readable image ({error}); publish the day's covers again") from error
