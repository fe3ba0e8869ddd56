# ruff: noqa: INP001 - a script of its own
"""Asks what is published by SQL: the covers that are up, by DuckDB, from a local folder.

    python docs/examples/read_with_duckdb.py STORE_FOLDER

Prints one JSON row per segment: its covers, its users, its mean preference and relevance. On S3 the same query works with
``INSTALL httpfs; LOAD httpfs;`` and s3:// addresses.
"""

import json
import sys
from pathlib import Path

import duckdb

QUERY = """
SELECT segment_id, count(*) AS covers, any_value(users) AS users,
       round(avg(preference), 4) AS preference, round(avg(relevance), 4) AS relevance
FROM read_parquet($covers, hive_partitioning = false)
LEFT JOIN (
    SELECT segment_id, count(*) AS users FROM read_parquet($user_segments, hive_partitioning = false) GROUP BY segment_id
) USING (segment_id)
GROUP BY segment_id ORDER BY segment_id
"""


def main(store: str) -> None:
    """current.json names the files; DuckDB reads them."""
    root = Path(store)
    current = json.loads((root / "covers/v1/current.json").read_text())
    files = {name: [str(root / file["key"]) for file in current[name]] for name in ("covers", "user_segments")}
    found = duckdb.execute(QUERY, files)
    names = [column[0] for column in found.description]
    for row in found.fetchall():
        print(json.dumps(dict(zip(names, row, strict=True))))


if __name__ == "__main__":
    main(*sys.argv[1:])
