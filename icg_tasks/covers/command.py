"""``icg covers``: get, list, history, rollback, pin, unpin, collect, verify. What is up, for whom, and taking it back.

Prints one JSON value; loads no model.
"""

import argparse
import json
import os
import uuid
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from icg_tasks.config import load_settings
from icg_tasks.config.settings import Settings
from icg_tasks.contracts.errors import EXIT_DONE, EXIT_REFUSED
from icg_tasks.contracts.partitions import COVER_MANIFESTS, COVERS_CURRENT
from icg_tasks.covers import holds
from icg_tasks.covers.pointer import current_pointer, history, move_current, pointer_to
from icg_tasks.covers.read import CoverReader
from icg_tasks.lake.partitions import find_partition, list_partition_dates
from icg_tasks.lake.store import ObjectStore, open_store

Answer = dict[str, Any]


def covers_command(argv: Sequence[str]) -> int:
    """Run one of the commands; returns the exit code. Raises IcgError for what cannot be read."""
    arguments = _parser().parse_args(argv)
    overrides = [*os.environ.get("ICG_SET", "").split(), *arguments.overrides]
    settings = load_settings(arguments.profile, overrides, environ=os.environ)
    answer = _COMMANDS[arguments.command](open_store(settings.store), settings, arguments)
    print(json.dumps(answer, ensure_ascii=False, allow_nan=False, indent=1), flush=True)
    return EXIT_REFUSED if answer.get("genuine") is False else EXIT_DONE


def _get(store: ObjectStore, _: Settings, arguments: argparse.Namespace) -> Answer:
    """The cover, or why there is none; with ``--out`` also its bytes in a file."""
    reader = CoverReader(store)
    user, item, hashed, variant = arguments.user, arguments.item, arguments.hashed, arguments.variant
    answer = {"user": user} | reader.answer(user, item, hashed=hashed, variant=variant)
    cover = reader.cover(user, item, hashed=hashed, variant=variant)
    if cover is None:
        published = f"covers of {reader.day} hold none for this item" if reader.day else "no covers were ever published"
        return answer | {"reason": f"{published}: show the item's own"}
    if arguments.out is not None:
        data = reader.image(cover)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_bytes(data)
        answer |= {"out": str(arguments.out), "bytes": len(data)}
    return answer


def _list(store: ObjectStore, _: Settings, __: argparse.Namespace) -> Answer:
    """Published dates, newest last, and which one is up."""
    current = current_pointer(store)
    pinned = set(holds.pinned_dates(store))
    found = [find_partition(store, COVER_MANIFESTS, day) for day in list_partition_dates(store, COVER_MANIFESTS)]
    parts = [part for part in found if part is not None]
    dates = [{"ds": p.run_date.isoformat(), "covers": p.rows, "pinned": p.run_date in pinned} for p in parts]
    return {"store": store.uri, "current": current.day.isoformat() if current else None, "published": dates}


def _history(store: ObjectStore, _: Settings, __: argparse.Namespace) -> Answer:
    """What was up, oldest first, and whether it could be put up again."""
    current = current_pointer(store)
    there = set(list_partition_dates(store, COVER_MANIFESTS))
    rows = [
        {
            "serial": pointer.serial,
            "ds": pointer.day.isoformat(),
            "covers": sum(file.rows for file in pointer.covers),
            "manifest_sha256": pointer.sha256,
            "up": pointer is current,
            "published": pointer.day in there,
        }
        for pointer in [*history(store), *([current] if current else [])]
    ]
    return {"store": store.uri, "history": rows}


def _rollback(store: ObjectStore, _: Settings, arguments: argparse.Namespace) -> Answer:
    """Put a published date up, be it earlier or later than the one that is. No collection takes it away meanwhile."""
    day: date = arguments.to
    found = store.get_with_etag(COVERS_CURRENT)
    before = None
    if found is not None:
        try:
            before = str(json.loads(found[0])["ds"])
        except (ValueError, KeyError, TypeError):
            before = "unreadable"
    hold = holds.Hold(name=f"rollback-{day}-{uuid.uuid4().hex[:12]}", dates=(day,))
    holds.place(store, hold)
    try:
        pointer = pointer_to(store, day)
        move_current(store, pointer, backwards=True)
    finally:
        holds.release(store, hold)
    return {"was": before, "current": pointer.day.isoformat(), "covers": sum(file.rows for file in pointer.covers)}


def _pin(store: ObjectStore, _: Settings, arguments: argparse.Namespace) -> Answer:
    holds.pin(store, arguments.date)
    return _pinned(store)


def _unpin(store: ObjectStore, _: Settings, arguments: argparse.Namespace) -> Answer:
    return {"was_pinned": holds.unpin(store, arguments.date)} | _pinned(store)


def _pinned(store: ObjectStore) -> Answer:
    return {"pinned": [day.isoformat() for day in holds.pinned_dates(store)]}


def _collect(store: ObjectStore, settings: Settings, arguments: argparse.Namespace) -> Answer:
    from icg_tasks.covers.collect import collect
    from icg_tasks.covers.roots import Retention

    covers = settings.covers
    retention = Retention(dates=covers.retention_dates, grace_seconds=covers.collect_grace_hours * 3600)
    return collect(store, retention, dry_run=arguments.dry_run).to_json()


def _verify(store: ObjectStore, _: Settings, arguments: argparse.Namespace) -> Answer:
    from icg_tasks.covers.verify import verify_file

    return verify_file(arguments.file, store)


_COMMANDS: dict[str, Callable[[ObjectStore, Settings, argparse.Namespace], Answer]] = {
    "get": _get,
    "list": _list,
    "history": _history,
    "rollback": _rollback,
    "pin": _pin,
    "unpin": _unpin,
    "collect": _collect,
    "verify": _verify,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="icg covers", description="Published covers.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    get = commands.add_parser("get", help="the cover that a user sees for an item")
    get.add_argument("--user", required=True, help="raw user id (needs ICG_PSEUDONYM_KEY)")
    get.add_argument("--hashed", action="store_true", help="the user is given as keyed hash already")
    get.add_argument("--item", required=True)
    get.add_argument("--variant", type=int, default=0)
    get.add_argument("--out", type=Path, help="also write the WebP image to this file")
    commands.add_parser("list", help="published dates and the one that is up")
    commands.add_parser("history", help="what was up, oldest first")
    _with_date(commands.add_parser("rollback", help="put another published date up"), "--to")
    _with_date(commands.add_parser("pin", help="keep a published date whatever retention says"), "--date")
    _with_date(commands.add_parser("unpin", help="let retention have a date again"), "--date")
    collect = commands.add_parser("collect", help="delete what no manifest within retention names")
    collect.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    verify = commands.add_parser("verify", help="where an image file comes from: exit 3 where it is no cover of ours")
    verify.add_argument("file", type=Path)
    for command in commands.choices.values():
        command.add_argument("--profile", default=os.environ.get("ICG_PROFILE", "tiny"))
        command.add_argument("--set", action="append", default=[], metavar="section.field=value", dest="overrides")
    return parser


def _with_date(parser: argparse.ArgumentParser, flag: str) -> None:
    parser.add_argument(flag, type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")
