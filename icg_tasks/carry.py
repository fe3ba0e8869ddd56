"""Carries a stage's scratch folder through the store, so that a stage that was told to stop goes on on another machine.

Only where ICG_CARRY is set: pods whose scratch is their node's own. What a stage keeps there is its own affair, and it checks
what it finds. The list of files is written last, so a carrying that was cut off is none. Knows no stage from inside.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from icg_tasks.stage import StageContext

VARIABLE = "ICG_CARRY"
CARRIED = "carried"  # prefix of the store
_FETCHED = {"models", "champion"}  # model versions, which the store has anyway
_LIST = "_files.json"


class Carrying:
    """One run's scratch. Does nothing where ``environ`` does not ask for it, nor for shards, whose progress is in the store."""

    def __init__(self, context: StageContext, environ: Mapping[str, str]) -> None:
        self._context = context
        self._wanted = bool(environ.get(VARIABLE)) and "shard" not in context.arguments
        self._prefix = f"{CARRIED}/ds={context.run_date.isoformat()}/{context.stage}"

    def fetch(self) -> int:
        """Take up what another machine sent, if this one has nothing of its own; number of files."""
        found = self._context.store.get_with_etag(f"{self._prefix}/{_LIST}") if self._wanted else None
        if found is None or self._files():
            return 0
        names: list[str] = json.loads(found[0])
        part = self._folder().with_name(self._folder().name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        for name in names:
            self._context.store.download(f"{self._prefix}/{name}", part / name)
        shutil.rmtree(self._folder(), ignore_errors=True)
        part.rename(self._folder())
        self._context.say(f"goes on from what was saved elsewhere ({len(names)} files)")
        return len(names)

    def send(self) -> int:
        """Put everything that is kept into the store; number of files."""
        if not self._wanted:
            return 0
        self.drop()
        files = self._files()
        for name, path in files.items():
            self._context.store.upload(f"{self._prefix}/{name}", path)
        if files:
            self._context.store.put(f"{self._prefix}/{_LIST}", json.dumps(sorted(files)).encode())
            self._context.say(f"saved work is in the store ({len(files)} files)")
        return len(files)

    def drop(self) -> None:
        """Take it away: the stage is done. The list goes first."""
        if not self._wanted:
            return
        self._context.store.delete(f"{self._prefix}/{_LIST}")
        for key in list(self._context.store.list(f"{self._prefix}/")):
            self._context.store.delete(key)

    def _folder(self) -> Path:
        return self._context.scratch()

    def _files(self) -> dict[str, Path]:
        root = self._folder()
        found = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}
        return {name: path for name, path in found.items() if name.partition("/")[0] not in _FETCHED}
