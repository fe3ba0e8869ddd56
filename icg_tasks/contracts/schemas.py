"""Arrow schemas of the data sets. A vector is list<float32>; its width is a setting, checked by the writer.

Raw impressions come from outside and may hold anything; ``RAW_*`` is what a well-behaved platform writes. Everything under
``clean/`` and ``features/`` holds these schemas exactly.
"""

import pyarrow as pa

VECTOR = pa.list_(pa.float32())
TIMESTAMP = pa.timestamp("ms", tz="UTC")

# What the platform writes: one row per cover shown. shown_at is ISO-8601 UTC text; cover_id null = the item's own cover;
# propensity = probability with which the cover was chosen; clicked 0/1; dwell_seconds null without a click.
RAW_IMPRESSIONS = pa.schema(
    [
        ("impression_id", pa.string()),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("shown_at", pa.string()),
        ("surface", pa.string()),
        ("position", pa.int64()),
        ("cover_id", pa.string()),
        ("propensity", pa.float64()),
        ("clicked", pa.int64()),
        ("dwell_seconds", pa.float64()),
    ]
)
# A snapshot of the whole catalogue. reference_image is a key below raw/images/ (the leading raw/images/ may be left out).
RAW_ITEMS = pa.schema(
    [
        ("item_id", pa.string()),
        ("title", pa.string()),
        ("reference_image", pa.string()),
        ("category", pa.string()),
        ("language", pa.string()),
        ("updated_at", pa.string()),
    ]
)
# Who asked to be forgotten: everything shown to them up to the end of the partition's day goes. More columns are ignored.
RAW_ERASURES = pa.schema([("user_id", pa.string())])
# The same under keyed hashes: rows of these users up to that day are let in nowhere, however late they come.
ERASURES = pa.schema([("user_id", pa.string())])
# Partitioned by the day a row ARRIVED; late rows keep their own shown_at. user_id is the keyed hash (32 hex digits).
IMPRESSIONS = pa.schema(
    [
        ("impression_id", pa.string()),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("shown_at", TIMESTAMP),
        ("surface", pa.string()),
        ("position", pa.int32()),
        ("cover_id", pa.string()),
        ("propensity", pa.float64()),
        ("clicked", pa.bool_()),
        ("dwell_seconds", pa.float64()),
    ]
)
ITEMS = pa.schema(
    [
        ("item_id", pa.string()),
        ("title", pa.string()),
        ("reference_image", pa.string()),  # whole store key: raw/images/…
        ("category", pa.string()),
        ("language", pa.string()),
        ("updated_at", TIMESTAMP),
        ("image_sha256", pa.string()),
        ("content_hash", pa.string()),  # of title, category, language and image bytes
    ]
)
# A quarantined row: the raw row as JSON, why it is here, and what to do.
QUARANTINE = pa.schema(
    [
        ("row_number", pa.int64()),
        ("source", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("advice", pa.string()),
        ("row_json", pa.string()),
    ]
)
# vector = unit image embedding followed by unit title embedding (2 x encoder width).
ITEM_FEATURES = pa.schema(
    [("item_id", pa.string()), ("content_hash", pa.string()), ("encoder", pa.string()), ("vector", VECTOR)]
)
# features/item_factors has the same columns: vector = what those who clicked the item also clicked, without halves; it is
# learned on some days only. features/user_taste_days, user_taste_windows and user_tastes are made of it as user_days,
# user_windows and users are of features/items.
# vector = unit image embedding of a generated cover (encoder width).
COVER_FEATURES = pa.schema([("cover_id", pa.string()), ("item_id", pa.string()), ("vector", VECTOR)])
# One day's partial sum per user: sum of weighted shown-cover vectors, sum of absolute weights, number of impressions, clicks.
USER_DAYS = pa.schema(
    [
        ("user_id", pa.string()),
        ("vector_sum", VECTOR),
        ("weight", pa.float64()),
        ("impressions", pa.int64()),
        ("clicks", pa.int64()),
    ]
)
# A user's sums over the window in fixed point, exact, so that the next date adds and takes away days. A cache: may be deleted.
USER_WINDOWS = pa.schema(
    [
        ("user_id", pa.string()),
        ("vector", pa.list_(pa.int64())),
        ("information", pa.int64()),
        ("impressions", pa.int64()),
        ("clicks", pa.int64()),
    ]
)
USERS = pa.schema(
    [
        ("user_id", pa.string()),
        ("vector", VECTOR),
        ("weight", pa.float64()),
        ("impressions", pa.int64()),
        ("clicks", pa.int64()),
    ]
)
SEGMENTS = pa.schema(
    [
        ("segment_id", pa.string()),
        ("size", pa.int64()),
        ("centroid", VECTOR),  # mean of its users' vectors
        ("history", pa.list_(pa.string())),  # item ids its users clicked most, above expectation
        ("top_items", pa.list_(pa.string())),  # item ids by expected traffic
        ("expected_traffic", pa.float64()),  # impressions per day
        ("rank", pa.int32()),  # 0 = most traffic
        ("matched_from", pa.string()),  # yesterday's segment id, null if new
        ("drift", pa.float64()),  # cosine distance to yesterday's centroid, null if new
    ]
)
USER_SEGMENTS = pa.schema([("user_id", pa.string()), ("segment_id", pa.string())])
COVER_PLAN = pa.schema(
    [
        ("segment_id", pa.string()),  # "_all" = the unpersonalised cover
        ("item_id", pa.string()),
        ("variant", pa.int32()),
        ("seed", pa.int64()),
        ("request_hash", pa.string()),  # of item content, segment vector, models and settings
        ("shard", pa.int32()),  # null when a former cover is kept, or none is made
        ("kept_cover_id", pa.string()),  # null when a new image is needed
        ("content_hash", pa.string()),  # the item's
        ("reason", pa.string()),  # why it is made, kept or left out (covers/former.py)
        ("generator", pa.string()),  # of this variant
    ]
)
COVER_MANIFEST = pa.schema(
    [
        ("segment_id", pa.string()),
        ("item_id", pa.string()),
        ("variant", pa.int32()),
        ("cover_id", pa.string()),  # sha256 of the blob
        ("blob", pa.string()),  # store key
        ("seed", pa.int64()),
        ("request_hash", pa.string()),
        ("generator", pa.string()),
        ("adapter_version", pa.string()),
        ("preference_version", pa.string()),
        ("denoiser_version", pa.string()),
        ("preference", pa.float64()),
        ("relevance", pa.float64()),
        ("aesthetic", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("made_on", pa.string()),  # run date that generated the blob
    ]
)
# What generate-covers leaves for publish-covers: a manifest row, the cover's image vector, and why it must not be published.
COVER_SHARD = pa.schema([*COVER_MANIFEST, ("rejected", pa.string()), ("vector", VECTOR)])
# The vector each planned segment's covers are made for: today's centroid, or a former one from which it has hardly drifted.
COVER_PLAN_SEGMENTS = pa.schema([("segment_id", pa.string()), ("vector", VECTOR), ("set_on", pa.string())])
EVERYONE = "_all"
