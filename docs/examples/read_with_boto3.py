# ruff: noqa: INP001 - a script of its own
"""Reads a published cover with boto3 and pyarrow alone: no package of ours, any language can do the same.

    python docs/examples/read_with_boto3.py BUCKET PREFIX USER_HASH ITEM OUT.webp

USER_HASH is the keyed hash of the user: HMAC-SHA256 of the raw id under ICG_PSEUDONYM_KEY, its first 32 hex digits. Endpoint
and credentials come from the environment. Prints the manifest row that was chosen, or null: show the item's own cover.
"""

import hashlib
import io
import json
import sys
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def main(bucket: str, prefix: str, user: str, item: str, out: str) -> None:
    """Pointer, the user's segment, the segment's cover or everybody's, the image."""
    s3 = boto3.client("s3")

    def read(key: str) -> bytes:
        return s3.get_object(Bucket=bucket, Key=f"{prefix}/{key}" if prefix else key)["Body"].read()

    def table(files: list[dict[str, str]]) -> pa.Table:
        return pa.concat_tables([pq.read_table(io.BytesIO(read(file["key"]))) for file in files])

    current = json.loads(read("covers/v1/current.json"))
    users, covers = table(current["user_segments"]), table(current["covers"])
    segment = users.filter(pc.equal(users["user_id"], user))["segment_id"].to_pylist()
    mine = covers.filter((pc.field("item_id") == item) & (pc.field("variant") == 0)).to_pylist()
    by_segment = {row["segment_id"]: row for row in mine}
    cover = next((by_segment[name] for name in [*segment, "_all"] if name in by_segment), None)
    if cover is not None:
        data = read(cover["blob"])
        if b"C2PA" not in data and hashlib.sha256(data).hexdigest() != cover["cover_id"]:  # a signed file has more bytes
            sys.exit(f"{cover['blob']} is not the image its name promises")
        Path(out).write_bytes(data)
    print(json.dumps(cover))


if __name__ == "__main__":
    main(*sys.argv[1:])
