"""What each stage's pod is given: image, processors, memory, GPUs, whether spot nodes will do, which Secret it may read.

``ICG_PODS`` (a JSON object, see infra/airflow/pods.json) changes amounts by stage and says where pods may stand. A word in it
that has no effect is an error. Imports nothing of Airflow or Kubernetes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from icg_tasks.contracts import stages

PSEUDONYM_SECRET = "icg-pseudonym"  # noqa: S105  (a Secret's name: what the keyed hash of user ids needs)


@dataclass(frozen=True, kw_only=True)
class Needs:
    """``image``: a name below ICG_IMAGE_PREFIX. ``spot``: the stage saves its work when told to stop and may be pre-empted."""

    image: str
    cpu: str
    memory: str
    gpu: int = 0
    spot: bool = False
    secrets: tuple[str, ...] = ()

    def resources(self) -> dict[str, str]:
        """Requests and limits alike (so that the pod is among the last to be evicted)."""
        found = {"cpu": self.cpu, "memory": self.memory}
        return found | {"nvidia.com/gpu": str(self.gpu)} if self.gpu else found


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where pods may stand, in Kubernetes' own words (camelCase keys of a toleration)."""

    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: list[dict[str, Any]] = field(default_factory=list)

    def joined(self, other: "Placement") -> "Placement":
        """Both at once."""
        return Placement(
            node_selector=self.node_selector | other.node_selector, tolerations=[*self.tolerations, *other.tolerations]
        )


@dataclass(frozen=True, kw_only=True)
class PodSettings:
    """What ``ICG_PODS`` says. ``work_claim``: a volume claim that every node can mount; without one scratch is a node's own.

    ``checkpoints_claim``: a claim with public checkpoints in a hub cache, mounted read-only (pods fetch nothing from a hub).
    """

    namespace: str = "icg"
    work_claim: str = ""
    checkpoints_claim: str = ""
    grace_seconds: int = 110  # a pre-empted stage takes up to 20 s to save, the rest is for carrying it into the store
    every: Placement = field(default_factory=Placement)
    gpu: Placement = field(default_factory=Placement)
    spot: Placement = field(default_factory=Placement)
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)

    def needs(self, stage: str) -> Needs:
        """The table's row with this installation's changes."""
        if stage not in NEEDS:
            raise ValueError(f"no pod is described for stage {stage!r}; add it to NEEDS in dags/icg_dags/needs.py")
        return replace(NEEDS[stage], **self.stages.get(stage, {}))

    def placement(self, needs: Needs) -> Placement:
        """Where a pod with these needs may stand."""
        found = self.every.joined(self.gpu) if needs.gpu else self.every
        return found.joined(self.spot) if needs.spot else found


_SPOT_GPU: dict[str, Any] = {"image": "training", "cpu": "8", "memory": "64Gi", "gpu": 1, "spot": True}
_SMALL: dict[str, Any] = {"image": "training", "cpu": "2", "memory": "8Gi"}

NEEDS = {
    stages.VALIDATE_ITEMS: Needs(image="validation", cpu="2", memory="8Gi"),
    stages.VALIDATE_IMPRESSIONS: Needs(image="validation", cpu="4", memory="32Gi", secrets=(PSEUDONYM_SECRET,)),
    stages.EMBED_ITEMS: Needs(**(_SPOT_GPU | {"memory": "32Gi"})),
    stages.TRAIN_PREFERENCE: Needs(**_SPOT_GPU),
    stages.ADAPT_DENOISER: Needs(**_SPOT_GPU),
    stages.TRAIN_ADAPTER: Needs(**_SPOT_GPU),
    stages.TRAIN_PIGEON: Needs(**_SPOT_GPU),
    stages.PLAN_COVERS: Needs(**_SMALL),
    stages.GENERATE_COVERS: Needs(**_SPOT_GPU),
    stages.PUBLISH_COVERS: Needs(**_SMALL),
    stages.EVALUATE: Needs(**_SPOT_GPU),
    stages.REPORT: Needs(**_SMALL),
    stages.ARRIVED: Needs(**_SMALL),
    stages.ERASE: Needs(image="validation", cpu="4", memory="32Gi", secrets=(PSEUDONYM_SECRET,)),
    stages.HOUSEKEEPING: Needs(**_SMALL),
    stages.COLLECT_COVERS: Needs(**_SMALL),
}


def read_pod_settings(text: str) -> PodSettings:
    """From the JSON of ``ICG_PODS``; empty text is all defaults.

    Raises:
        ValueError: it is no JSON object, or holds a word that has no effect.
    """
    try:
        given = json.loads(text or "{}")
    except ValueError as error:
        raise ValueError(f"ICG_PODS is not JSON ({error}); see infra/airflow/pods.json") from None
    _known(given, {entry.name for entry in fields(PodSettings)}, "ICG_PODS")
    for name in ("every", "gpu", "spot"):
        if name in given:
            _known(given[name], {entry.name for entry in fields(Placement)}, f"ICG_PODS.{name}")
            given[name] = Placement(**given[name])
    _known(given.get("stages", {}), set(NEEDS), "ICG_PODS.stages")
    for stage, changes in given.get("stages", {}).items():
        _known(changes, {"image", "cpu", "memory", "gpu", "spot"}, f"ICG_PODS.stages.{stage}")
    return PodSettings(**given)


def _known(given: Any, words: set[str], where: str) -> None:
    if not isinstance(given, Mapping):
        raise ValueError(f"{where} is {type(given).__name__}, expected a JSON object; see infra/airflow/pods.json")
    unknown = sorted(set(given) - words)
    if unknown:
        raise ValueError(f"{where} has {unknown[0]!r}, which has no effect; there are: {', '.join(sorted(words))}")
