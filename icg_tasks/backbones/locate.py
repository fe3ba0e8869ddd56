"""Where a checkpoint is: ``zoo:NAME`` is the folder of the shipped tiny stack, anything else a local folder or a hub id.

Reads no weights and imports nothing heavy.
"""

from importlib.util import find_spec
from pathlib import Path

from icg_tasks.contracts.errors import DataMissing, SettingsError

ZOO_PREFIX = "zoo:"


def resolve_checkpoint(name: str) -> str:
    """The folder of ``zoo:NAME``, or the name itself (a local folder or hub id).

    Raises:
        SettingsError: the name is empty or leads out of the zoo.
        DataMissing: the shipped stack has no such part.
    """
    if not name.strip():
        raise SettingsError("a checkpoint's name is empty; give a folder, a hub id or zoo:NAME (settings section backbones)")
    if not name.startswith(ZOO_PREFIX):
        return name
    part = name.removeprefix(ZOO_PREFIX)
    if not part or part in {".", ".."} or "/" in part or "\\" in part:
        raise SettingsError(f"checkpoint {name!r}: expected zoo:NAME, NAME being one folder of the shipped stack")
    places = zoo_folders()
    for place in places:
        if (place / part).is_dir():
            return str(place / part)
    raise DataMissing(
        f"checkpoint {name!r}: the shipped stack has no {part!r} in {', '.join(map(str, places)) or 'any zoo package'}; "
        "run make zoo, or name another checkpoint"
    )


def zoo_folders() -> list[Path]:
    """Folders of the installed ``zoo`` package (none where it is not installed)."""
    found = find_spec("zoo")
    return [Path(place) for place in (found.submodule_search_locations or [])] if found else []
