"""Whether a pod's end was the stage's doing or the cluster's. No cluster, no Airflow."""

import pytest
from icg_dags.pod_fate import done_by_cluster, exit_code, failed_by_api
from kubernetes.client import models
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import ProtocolError


def pod(phase="Failed", *, code=None, waiting=None, reason=None, condition=None, deleted=False):
    """A pod as the cluster tells it."""
    state = models.V1ContainerState(
        terminated=None if code is None else models.V1ContainerStateTerminated(exit_code=code),
        waiting=waiting and models.V1ContainerStateWaiting(reason=waiting, message="manifest unknown"),
    )
    container = models.V1ContainerStatus(name="base", image="i", image_id="", ready=False, restart_count=0, state=state)
    conditions = [models.V1PodCondition(type="DisruptionTarget", status="True", reason=condition)] if condition else None
    seen = code is not None or waiting is not None
    return models.V1Pod(
        metadata=models.V1ObjectMeta(name="p", deletion_timestamp="2026-03-10T00:00:00Z" if deleted else None),
        status=models.V1PodStatus(
            phase=phase, reason=reason, conditions=conditions, container_statuses=[container] if seen else None
        ),
    )


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "gone"),
        (pod(reason="Evicted", code=137), "Evicted"),
        (pod(reason="OutOfnvidia.com/gpu"), "OutOfnvidia"),
        (pod(reason="NodeLost", code=None), "NodeLost"),
        (pod(code=75), "saved its work"),
        (pod(code=137, condition="PreemptionByScheduler"), "PreemptionByScheduler"),
        (pod(code=143, deleted=True), "before it could save"),
        (pod("Pending", waiting="ImagePullBackOff"), "ImagePullBackOff: manifest unknown"),
        (pod("Pending"), "no node had room"),
    ],
    ids=["gone", "evicted", "no GPU left", "node lost", "saved", "pre-empted", "deleted", "image", "no room"],
)
def test_what_the_cluster_does_is_told_in_words(found, words):
    assert words in done_by_cluster(found, "base")


@pytest.mark.parametrize(
    "found",
    [
        pod(code=1),
        pod(code=3),
        pod(code=137),  # out of memory: another node would not help
        pod(code=143),
        pod("Succeeded", code=0),
        pod("Pending", waiting="InvalidImageName"),
        pod("Pending", waiting="CreateContainerConfigError"),
        pod("Failed", reason="DeadlineExceeded", code=137),
    ],
    ids=["failed", "refused", "killed", "stopped", "done", "no such image name", "no such secret", "too long"],
)
def test_what_the_stage_does_is_its_own(found):
    assert done_by_cluster(found, "base") is None


def test_exit_code_is_the_stages_container_alone():
    assert exit_code(pod(code=3), "base") == 3
    assert exit_code(pod(code=3), "other") is None
    assert exit_code(pod("Pending"), "base") is None


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ApiException(status=503, reason="unavailable"), True),
        (ApiException(status=429, reason="slow down"), True),
        (ApiException(status=403, reason="Forbidden: exceeded quota: gpus"), True),
        (ProtocolError("connection aborted"), True),
        (ApiException(status=403, reason="Forbidden"), False),
        (ApiException(status=422, reason="invalid"), False),
        (ValueError("ours"), False),
    ],
)
def test_trouble_of_the_clusters_api_is_not_the_stages(error, told):
    assert (failed_by_api(error, pod_was_made=True) is not None) == told


def test_not_found_is_a_lost_pod_only_where_one_was_made():
    error = ApiException(status=404, reason="Not Found")
    assert failed_by_api(error, pod_was_made=True) == "the pod is gone"
    assert failed_by_api(error, pod_was_made=False) is None
