"""Why a pod ended: the stage's own doing, or the cluster's. Pure functions of a pod as the cluster tells it.

What the cluster did (evicted, pre-empted, node gone, image not pulled, no room) is no failure of the stage and must not use up
its retries. Knows neither Airflow nor the Kubernetes client.
"""

from typing import Any

from icg_tasks.contracts.errors import EXIT_INTERRUPTED

# Reasons of a failed pod that kubelet, scheduler or node life cycle give (pod.status.reason).
_CLUSTER_REASONS = {
    "Evicted", "NodeAffinity", "NodeLost", "NodeShutdown", "Preempted", "Preempting", "Shutdown", "Terminated",
    "UnexpectedAdmissionError",
}  # fmt: skip
_NOT_STARTED = {"ContainerCreating", "ContainerStatusUnknown", "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"}
_SIGTERM_UNHEEDED = 143


def exit_code(pod: Any, container: str) -> int | None:
    """The container's exit code; None while it runs, or where it never ran."""
    ended = _state(pod, container, "terminated")
    return None if ended is None else int(ended.exit_code)


def done_by_cluster(pod: Any, container: str) -> str | None:
    """What the cluster did to the pod, in a few words; None where the stage ended by itself. ``pod`` None: it is gone.

    A killed container (137) counts as the stage's own unless the cluster says otherwise: most are out of memory.
    """
    if pod is None:
        return "the pod is gone"
    return _disrupted(pod.status) or _stopped(pod, container) or _not_started(pod, container)


def failed_by_api(error: Exception, *, pod_was_made: bool) -> str | None:
    """What the cluster's API did to a request, in a few words; None where the request itself is at fault.

    Not found means that a pod which was made is gone, or that the namespace for it never was.

    ``error`` is the client's ApiException (with a status), or what its HTTP library raises where nobody answers (without).
    """
    status = getattr(error, "status", None)
    if status is None:
        return f"the cluster's API does not answer: {error}" if type(error).__module__.startswith("urllib3.") else None
    if status == 404 and pod_was_made:
        return "the pod is gone"
    if status == 429 or status >= 500 or "exceeded quota" in str(error):
        return f"the cluster's API answered {status}: {getattr(error, 'reason', '')}"
    return None


def _disrupted(status: Any) -> str | None:
    if status.reason in _CLUSTER_REASONS or str(status.reason or "").startswith("OutOf"):
        return f"{status.reason}: {status.message or 'no message'}"
    for condition in status.conditions or []:
        if condition.type == "DisruptionTarget" and condition.status == "True":
            return f"disrupted: {condition.reason}"
    return None


def _stopped(pod: Any, container: str) -> str | None:
    code = exit_code(pod, container)
    if code == EXIT_INTERRUPTED:
        return "asked to stop; it saved its work"
    return "stopped before it could save" if code == _SIGTERM_UNHEEDED and pod.metadata.deletion_timestamp else None


def _not_started(pod: Any, container: str) -> str | None:
    if pod.status.phase != "Pending":
        return None
    waiting = _state(pod, container, "waiting")
    if waiting is None:
        return "no node had room for it"
    return f"{waiting.reason}: {waiting.message or 'no message'}" if waiting.reason in _NOT_STARTED else None


def _state(pod: Any, container: str, name: str) -> Any:
    for status in (pod.status.container_statuses if pod is not None else None) or []:
        if status.name == container and status.state is not None:
            return getattr(status.state, name)
    return None
