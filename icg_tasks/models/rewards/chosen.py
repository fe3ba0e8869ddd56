"""Which rewards settings ask for: their weights, and the judges that they bring.

``adapter.NAME_weight`` where there is such a setting, else ``adapter.more_rewards`` ("pickscore=0.3,hps=0.2"); checkpoints in
``backbones.judges`` ("pickscore=owner/name@revision,hps=/folder"). Knows settings and the table; no batch.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch

from icg_tasks.config.settings import AdapterSettings, BackboneSettings
from icg_tasks.contracts.errors import SettingsError
from icg_tasks.models.rewards.table import REWARDS

_MORE, _JUDGES = "adapter.more_rewards", "backbones.judges"


def reward_weights(settings: AdapterSettings) -> dict[str, float]:
    """Rewards in use and their weights, in the table's order; a weight of 0 drops one.

    Raises SettingsError for an unknown reward, one that has a setting of its own, or a weight that is no number above 0.
    """
    fields = {name: getattr(settings, f"{name}_weight") for name in REWARDS if hasattr(settings, f"{name}_weight")}
    more = {}
    for name, text in _named(settings.more_rewards, _MORE).items():
        if name not in REWARDS:
            raise SettingsError(f"{_MORE}: no reward {name!r}; there are: {', '.join(sorted(set(REWARDS) - set(fields)))}")
        if name in fields:
            raise SettingsError(f"{_MORE}: {name} has a setting of its own; set adapter.{name}_weight={text}")
        more[name] = _weight(name, text)
    found = fields | more
    return {name: found[name] for name in REWARDS if found.get(name)}


def open_judges(backbones: BackboneSettings, names: Iterable[str], device: torch.device | str = "cpu") -> dict[str, Any]:
    """Judges of those of ``names`` that bring one, loaded independently of the pipeline's own encoder.

    Raises:
        SettingsError: a reward's checkpoint is not named, or a checkpoint is named for what has no judge.
        DataMissing, DataCorrupt: a checkpoint is not there, or is none for its reward.
    """
    checkpoints = _named(backbones.judges, _JUDGES)
    with_judge = [name for name, reward in REWARDS.items() if reward.own_judge]
    for name in checkpoints:
        if name not in with_judge:
            raise SettingsError(f"{_JUDGES}: {name!r} is no reward with a judge of its own; those are: {', '.join(with_judge)}")
    judges = {}
    for name in names:
        if not REWARDS[name].own_judge:
            continue
        if name not in checkpoints:
            raise SettingsError(
                f"reward {name} is in use and has no checkpoint; name it: {_JUDGES}={name}=FOLDER or {name}=owner/name@revision"
            )
        judges[name] = REWARDS[name].load_judge(checkpoints[name], device)
    return judges


def _named(text: str, setting: str) -> dict[str, str]:
    """ "a=1,b=2" as a mapping."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value):
            raise SettingsError(f"{setting}={text}: expected NAME=VALUE, comma-separated; found {part!r}")
        if name in found:
            raise SettingsError(f"{setting}={text}: {name} is there twice")
        found[name] = value
    return found


def _weight(name: str, text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise SettingsError(f"{_MORE}: the weight of {name} is {text!r}; expected a number, 0 or more")
    return weight
