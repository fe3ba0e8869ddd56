"""``icg covers get | list | rollback``: what is up, for whom, and taking it back. Prints one JSON value; loads no model."""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from icg_tasks.config import load_settings
from icg_tasks.contracts.errors import EXIT_DONE
from icg_tasks.contracts.partitions import COVER_MANIFESTS, COVERS_CURRENT
from icg_tasks.covers.pointer import current_pointer, move_current, pointer_to
from icg_tasks.covers.read import CoverReader
from icg_tasks.lake.partitions import find_partition, list_partition_dates
from icg_tasks.lake.store import ObjectStore, open_store


def covers_command(argv: Sequence[str]) -> int:
    """Run one of the commands; returns the exit code. Raises IcgError for what cannot be read."""
    arguments = _parser().parse_args(argv)
    overrides = [*os.environ.get("ICG_SET", "").split(), *arguments.overrides]
    store = open_store(load_settings(arguments.profile, overrides, environ=os.environ).store)
    if arguments.command == "get":
        answer = _get(store, arguments)
    else:
        answer = _list(store) if arguments.command == "list" else _rollback(store, arguments.to)
    print(json.dumps(answer, ensure_ascii=False, allow_nan=False, indent=1), flush=True)
    return EXIT_DONE


def _get(store: ObjectStore, arguments: argparse.Namespace) -> dict[str, Any]:
    """The cover, or why there is none; with ``--out`` also its bytes in a file."""
    reader = CoverReader(store)
    cover = reader.cover(arguments.user, arguments.item, hashed=arguments.hashed, variant=arguments.variant)
    answer: dict[str, Any] = {"user": arguments.user, "item": arguments.item}
    if cover is None:
        published = f"covers of {reader.day} hold none for this item" if reader.day else "no covers were ever published"
        return answer | {"cover": None, "reason": f"{published}: show the item's own"}
    answer["segment"] = reader.segment(arguments.user, hashed=arguments.hashed)
    shown = asdict(cover) | {"day": cover.day.isoformat(), "personalised": cover.personalised}
    if arguments.out is not None:
        data = reader.image(cover)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_bytes(data)
        answer |= {"out": str(arguments.out), "bytes": len(data)}
    return answer | {"cover": shown}


def _list(store: ObjectStore) -> dict[str, Any]:
    """Published dates, newest last, and which one is up."""
    current = current_pointer(store)
    found = [find_partition(store, COVER_MANIFESTS, day) for day in list_partition_dates(store, COVER_MANIFESTS)]
    dates = [{"ds": part.run_date.isoformat(), "covers": part.rows} for part in found if part is not None]
    return {"store": store.uri, "current": current.day.isoformat() if current else None, "published": dates}


def _rollback(store: ObjectStore, day: date) -> dict[str, Any]:
    """Put a published date up, be it earlier or later than the one that is."""
    found = store.get_with_etag(COVERS_CURRENT)
    before = None
    if found is not None:
        try:
            before = str(json.loads(found[0])["ds"])
        except (ValueError, KeyError, TypeError):
            before = "unreadable"
    pointer = pointer_to(store, day)
    move_current(store, pointer, backwards=True)
    return {"was": before, "current": pointer.day.isoformat(), "covers": sum(file.rows for file in pointer.covers)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="icg covers", description="Published covers.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    get = commands.add_parser("get", help="the cover that a user sees for an item")
    get.add_argument("--user", required=True, help="raw user id (needs ICG_PSEUDONYM_KEY)")
    get.add_argument("--hashed", action="store_true", help="the user is given as keyed hash already")
    get.add_argument("--item", required=True)
    get.add_argument("--variant", type=int, default=0)
    get.add_argument("--out", type=Path, help="also write the WebP image to this file")
    listing = commands.add_parser("list", help="published dates and the one that is up")
    rollback = commands.add_parser("rollback", help="put another published date up")
    rollback.add_argument("--to", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")
    for command in (get, listing, rollback):
        command.add_argument("--profile", default=os.environ.get("ICG_PROFILE", "tiny"))
        command.add_argument("--set", action="append", default=[], metavar="section.field=value", dest="overrides")
    return parser
