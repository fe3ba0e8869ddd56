"""What a stage's pod is made of, as options of KubernetesPodOperator: rights, places, volumes, environment.

The same for every stage; what differs stands in needs.py. Every pod runs as nobody, on a read-only root, without a token for
the cluster, under a service account of its stage (infra/cloud gives each its role).
"""

from typing import Any

from kubernetes.client import models

from icg_dags.defaults import DEFAULT_ARGUMENTS, GENERATOR
from icg_dags.needs import Needs, PodSettings

WORK_FOLDER = "/work"
CHECKPOINTS_FOLDER = "/checkpoints"
_USER = 10001  # the images' user
_STARTUP_SECONDS = 900  # a new GPU node and an image of several GB
_SPARE_SECONDS = 3600


def service_account(stage: str) -> str:
    """Name of the service account a stage runs under."""
    return f"icg-{stage}"


def pod_options(stage: str, needs: Needs, pods: PodSettings) -> dict[str, Any]:
    """All options but image and words."""
    place = pods.placement(needs)
    deadline = DEFAULT_ARGUMENTS["execution_timeout"].total_seconds() + _SPARE_SECONDS
    return {
        "name": f"icg-{stage}",
        "namespace": pods.namespace,
        "cmds": ["icg"],
        "labels": {"app.kubernetes.io/name": "icg-covers", "app.kubernetes.io/component": stage},
        "container_resources": models.V1ResourceRequirements(requests=needs.resources(), limits=needs.resources()),
        "node_selector": place.node_selector,
        "tolerations": [_toleration(entry) for entry in place.tolerations],
        "service_account_name": service_account(stage),
        "automount_service_account_token": False,
        "security_context": models.V1PodSecurityContext(
            run_as_non_root=True,
            run_as_user=_USER,
            run_as_group=_USER,
            fs_group=_USER,
            seccomp_profile=models.V1SeccompProfile(type="RuntimeDefault"),
        ),
        "container_security_context": models.V1SecurityContext(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=models.V1Capabilities(drop=["ALL"]),
        ),
        "volumes": _volumes(pods),
        "volume_mounts": _mounts(pods),
        "env_vars": _environment(needs, pods),
        "env_from": [
            models.V1EnvFromSource(config_map_ref=models.V1ConfigMapEnvSource(name="icg")),
            models.V1EnvFromSource(secret_ref=models.V1SecretEnvSource(name="icg", optional=True)),
            *(models.V1EnvFromSource(secret_ref=models.V1SecretEnvSource(name=name)) for name in needs.secrets),
        ],
        "termination_grace_period": pods.grace_seconds,
        "active_deadline_seconds": int(deadline),  # a pod that Airflow lost ends by itself
        "startup_timeout_seconds": _STARTUP_SECONDS,
        "do_xcom_push": False,  # the closing line comes from the log, not from a side-car
        "log_events_on_failure": True,
        "log_pod_spec_on_failure": False,
        "on_finish_action": "delete_pod",
    }


def _environment(needs: Needs, pods: PodSettings) -> dict[str, str]:
    """A stage that may go on elsewhere carries its scratch through the store, unless all nodes share it."""
    found = {"ICG_WORK_FOLDER": WORK_FOLDER, "HOME": WORK_FOLDER, "ICG_GENERATOR": GENERATOR}
    found |= {"ICG_CARRY": "1"} if needs.spot and not pods.work_claim else {}
    return found | ({"HF_HOME": CHECKPOINTS_FOLDER} if pods.checkpoints_claim else {})


def _mounts(pods: PodSettings) -> list[models.V1VolumeMount]:
    found = [
        models.V1VolumeMount(name="work", mount_path=WORK_FOLDER),
        models.V1VolumeMount(name="tmp", mount_path="/tmp"),  # noqa: S108  (a volume of this pod alone)
    ]
    mount = models.V1VolumeMount(name="checkpoints", mount_path=CHECKPOINTS_FOLDER, read_only=True)
    return [*found, mount] if pods.checkpoints_claim else found


def _volumes(pods: PodSettings) -> list[models.V1Volume]:
    claim = models.V1PersistentVolumeClaimVolumeSource(claim_name=pods.work_claim) if pods.work_claim else None
    own = models.V1EmptyDirVolumeSource() if claim is None else None
    found = [
        models.V1Volume(name="work", persistent_volume_claim=claim, empty_dir=own),
        models.V1Volume(name="tmp", empty_dir=models.V1EmptyDirVolumeSource()),
    ]
    if pods.checkpoints_claim:
        shelf = models.V1PersistentVolumeClaimVolumeSource(claim_name=pods.checkpoints_claim, read_only=True)
        found.append(models.V1Volume(name="checkpoints", persistent_volume_claim=shelf))
    return found


def _toleration(entry: dict[str, Any]) -> models.V1Toleration:
    """From the words of a manifest; an unknown word is an error."""
    names = {word: name for name, word in models.V1Toleration.attribute_map.items()}
    unknown = sorted(set(entry) - set(names))
    if unknown:
        raise ValueError(f"ICG_PODS: a toleration has {unknown[0]!r}; there are: {', '.join(sorted(names))}")
    return models.V1Toleration(**{names[word]: value for word, value in entry.items()})
