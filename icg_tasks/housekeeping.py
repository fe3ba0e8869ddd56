"""Stage housekeeping: takes away what is past its time and what nothing names. Published covers are `icg covers collect`'s.

It first makes a list, whole, and only then deletes; with ``--dry-run`` it stops at the list. What a live, pinned or remembered
cover manifest, a current champion or a recent date names stays. A partition's manifest goes before its files, so nobody ever
reads a part of one. Stopped half way, the next run finds the rest. Run: ``icg housekeeping --run-date D [--dry-run]``.
"""

import io
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

import pyarrow.parquet as pq

from icg_tasks.config.settings import Settings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import GateRefused, SettingsError
from icg_tasks.contracts.stages import StageOutcome
from icg_tasks.lake.registry import CARD
from icg_tasks.lake.store import Entry, ObjectStore
from icg_tasks.stage import StageContext

_DATA = ("clean/impressions", "clean/items", "features/")
_FOREVER = (keys.ERASURES,)
_VERSION_COLUMNS = ("adapter_version", "preference_version", "denoiser_version")
_VERSION_ID = re.compile(r"[0-9a-f]{16}")
_EXAMPLES = 10


@dataclass(frozen=True, kw_only=True)
class Named:
    """What is referenced: published dates, objects by key, model versions by id."""

    dates: frozenset[date]
    keys: frozenset[str]
    versions: frozenset[str]


@dataclass(kw_only=True)
class Sweep:
    """What is to go, by what it is, and how much there was to look at."""

    going: dict[str, list[Entry]] = field(default_factory=dict)
    seen_bytes: int = 0

    @property
    def going_bytes(self) -> int:
        """Bytes of all that goes."""
        return sum(entry.size for entries in self.going.values() for entry in entries)


def run(context: StageContext) -> StageOutcome:
    """Look, list, delete. Raises GateRefused where more would go than ``housekeeping.max_deleted_share`` allows."""
    dry_run = bool(context.arguments.get("dry_run"))
    sweep = look(context.store, context.settings, context.run_date)
    share = sweep.going_bytes / max(sweep.seen_bytes, 1)
    allowed = context.settings.housekeeping.max_deleted_share
    if share > allowed and not dry_run:
        raise GateRefused(
            f"housekeeping for {context.run_date} would delete {share:.0%} of the bytes it looked at in {context.store.uri}, "
            f"more than housekeeping.max_deleted_share={allowed}; look at --dry-run, then raise it for one run"
        )
    for kind, entries in sweep.going.items():
        context.say(f"{kind}: {len(entries)} objects, {sum(entry.size for entry in entries)} bytes")
        for entry in [] if dry_run else _manifests_first(entries):
            context.stop.check("what is left is the next run's")
            context.store.delete(entry.key)
    examples = {kind: [entry.key for entry in entries[:_EXAMPLES]] for kind, entries in sweep.going.items()}
    figures = {"dry_run": dry_run, "bytes": sweep.going_bytes, "share": round(share, 6), "examples": examples}
    return StageOutcome(counts={kind: len(entries) for kind, entries in sorted(sweep.going.items())}, figures=figures)


def look(store: ObjectStore, settings: Settings, run_date: date, *, clock: Callable[[], float] = time.time) -> Sweep:
    """Everything that may go as of the run date. Raises SettingsError where data would go that a day still reads."""
    kept = settings.housekeeping
    needed = max(settings.features.window_days, settings.preference.train_days) + settings.intake.late_days
    if 0 < kept.data_days <= needed:
        raise SettingsError(f"housekeeping.data_days={kept.data_days}: a day reads {needed} days back; expected more than that")
    named = _named(store, run_date, kept.model_days)
    sweep = Sweep()
    recent = clock() - kept.grace_hours * 3600
    ages = (
        ("data", _DATA, kept.data_days),
        ("raw", (keys.IMPRESSIONS_RAW,), kept.raw_days),
        ("quarantine", ("quarantine/",), kept.quarantine_days),
        ("reports", (f"{keys.REPORTS}/",), kept.report_days),
        ("runs", (f"{keys.STAGE_RUNS}/", "reuse/"), kept.run_days),
        ("carried", ("carried/",), kept.carried_days),
    )
    for kind, prefixes, days in ages:
        horizon = run_date - timedelta(days=days) if days else date.min
        for prefix in prefixes:
            entries = list(store.entries(prefix))
            newest = _newest(entries)
            for entry in entries:
                sweep.seen_bytes += entry.size
                if entry.modified <= recent and _is_past(entry.key, horizon, newest, named):
                    sweep.going.setdefault(kind, []).append(entry)
    for entry in _unused_weights(store, named, sweep):
        if entry.modified <= recent:
            sweep.going.setdefault("models", []).append(entry)
    return sweep


def _is_past(key: str, horizon: date, newest: dict[str, date], named: Named) -> bool:
    day = keys.parse_partition_date(key)
    if day is None or day >= horizon or day in named.dates or key in named.keys or key.startswith(_FOREVER):
        return False
    return newest[key.partition("/ds=")[0]] > day


def _newest(entries: list[Entry]) -> dict[str, date]:
    """The newest date of each data set: it stays, however old."""
    found: dict[str, date] = {}
    for entry in entries:
        day, dataset = keys.parse_partition_date(entry.key), entry.key.partition("/ds=")[0]
        if day is not None:
            found[dataset] = max(day, found.get(dataset, day))
    return found


def _unused_weights(store: ObjectStore, named: Named, sweep: Sweep) -> Iterator[Entry]:
    """Files of versions that nothing names; never a card, so that a model's descent can still be told."""
    for entry in store.entries(f"{keys.MODELS}/"):
        kind, _, rest = entry.key.removeprefix(f"{keys.MODELS}/").partition("/versions/")
        version, _, name = rest.partition("/")
        if not (kind and name):
            continue
        sweep.seen_bytes += entry.size
        if name != CARD and version not in named.versions:
            yield entry


def _named(store: ObjectStore, run_date: date, model_days: int) -> Named:
    """One look at everything that names something."""
    texts = [store.get(keys.COVERS_CURRENT)] if store.exists(keys.COVERS_CURRENT) else []
    texts += [store.get(key) for key in store.list(f"{keys.COVER_HISTORY}/")]
    dates, versions = set(), set()
    for key in store.list(f"{keys.COVER_MANIFESTS}/"):
        day = keys.parse_partition_date(key)
        if day is not None and key.endswith(f"/{keys.PARTITION_MANIFEST}"):
            dates.add(day)
            texts.append(store.get(key))
        elif key.endswith(".parquet"):
            versions |= _versions_in(store.get(key))
    champions = _champions(store, run_date - timedelta(days=model_days) if model_days else date.min)
    found = {text for data in texts for text in re.findall(r'"([^"\s]+/[^"\s]+)"', data.decode())}
    versions |= {version for data in [*texts, *champions] for version in _VERSION_ID.findall(data.decode())}
    return Named(dates=frozenset(dates), keys=frozenset(found), versions=frozenset(versions))


def _champions(store: ObjectStore, horizon: date) -> list[bytes]:
    """Records of champions that a date from the horizon on would use: those since then, and the last one before it."""
    found = [store.get(key) for key in store.list(f"{keys.MODELS}/") if key.endswith("/champion.json")]
    last: dict[str, tuple[date, str]] = {}
    for key in store.list(f"{keys.MODELS}/"):
        kind, champion, _ = key.partition("/champions/ds=")
        day = keys.parse_partition_date(key.removesuffix(".json"))
        if not champion or day is None:
            continue
        if day >= horizon:
            found.append(store.get(key))
        else:
            last[kind] = max(last.get(kind, (day, key)), (day, key))
    return [*found, *(store.get(key) for _, key in last.values())]


def _versions_in(data: bytes) -> set[str]:
    table = pq.read_table(io.BytesIO(data), columns=list(_VERSION_COLUMNS))
    values = {str(value) for name in _VERSION_COLUMNS for value in table[name].unique().to_pylist()}
    return {version for value in values for version in _VERSION_ID.findall(value)}


def _manifests_first(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (not entry.key.endswith(f"/{keys.PARTITION_MANIFEST}"), entry.key))
