"""A stage as a pod: what the pod is told, what it may do, and that Kubernetes would take it. No cluster is asked."""

import pytest
from icg_dags.needs import NEEDS, PSEUDONYM_SECRET, read_pod_settings
from kubernetes.client import ApiClient

_CLUSTER = """
apiVersion: v1
kind: Config
current-context: nowhere
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: nobody, user: {token: none}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
"""
PODS = """
{"work_claim": "icg-work", "checkpoints_claim": "shelf", "gpu": {"node_selector": {"pool": "gpu"}},
 "spot": {"tolerations": [{"key": "icg/spot", "operator": "Exists", "tolerationSeconds": 60}]}}
"""


@pytest.fixture
def stage_pod(tmp_path):
    """Makes the pod of a stage, as it is sent to the cluster."""
    from icg_dags.pod_stage import StagePod

    (tmp_path / "kubeconfig").write_text(_CLUSTER)  # the provider reads one even to describe a pod

    def made(stage, **options):
        operator = StagePod(
            task_id=stage, stage=stage, run_date="2026-03-10", profile="production", settings="covers.steps=4 world.seed=9",
            in_cluster=False, config_file=str(tmp_path / "kubeconfig"), **options,
        )  # fmt: skip
        operator.arguments = operator.command_arguments()
        return ApiClient().sanitize_for_serialization(operator.build_pod_request_obj())

    return made


def test_pod_runs_the_stages_command_with_its_image_resources_and_account(stage_pod):
    spec = stage_pod("generate-covers", shard=3)["spec"]
    container = spec["containers"][0]
    assert container["command"] == ["icg"]
    assert container["args"] == [
        "generate-covers", "--run-date", "2026-03-10", "--profile", "production",
        "--set", "covers.steps=4", "--set", "world.seed=9", "--shard", "3",
    ]  # fmt: skip
    assert container["image"] == "icg-covers-training:0.1.0"
    assert container["resources"]["limits"] == {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "1"}
    assert spec["serviceAccountName"] == "icg-generate-covers"
    assert len(spec["containers"]) == 1, "no side-car: the closing line comes from the log"


@pytest.mark.parametrize("stage", sorted(NEEDS))
def test_every_pod_is_confined_and_kubernetes_would_take_it(stage_pod, stage):
    pod = stage_pod(stage)
    spec, container = pod["spec"], pod["spec"]["containers"][0]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert spec["terminationGracePeriodSeconds"] >= 30
    assert spec["activeDeadlineSeconds"] > 6 * 3600
    secrets = {source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source}
    assert (PSEUDONYM_SECRET in secrets) == (stage in {"validate-impressions", "erase"})
    schemas = pytest.importorskip("kubernetes_validate")
    schemas.validate(pod, schemas.latest_version(), strict=True)


def test_pod_stands_where_the_installation_says(stage_pod, monkeypatch):
    from icg_dags import pod_stage

    monkeypatch.setattr(pod_stage, "PODS", read_pod_settings(PODS))
    spec = stage_pod("train-adapter")["spec"]
    assert spec["nodeSelector"] == {"pool": "gpu"}
    assert spec["tolerations"] == [{"key": "icg/spot", "operator": "Exists", "tolerationSeconds": 60}]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes["work"]["persistentVolumeClaim"]["claimName"] == "icg-work"
    assert volumes["checkpoints"]["persistentVolumeClaim"] == {"claimName": "shelf", "readOnly": True}
    environment = {entry["name"]: entry.get("value") for entry in spec["containers"][0]["env"]}
    assert environment["HF_HOME"] == "/checkpoints"
    assert "ICG_CARRY" not in environment, "all nodes share the scratch"


def test_toleration_with_an_unknown_word_is_refused(stage_pod, monkeypatch):
    from icg_dags import pod_stage

    monkeypatch.setattr(pod_stage, "PODS", read_pod_settings('{"every": {"tolerations": [{"taint": "gpu"}]}}'))
    with pytest.raises(ValueError, match="'taint'"):
        stage_pod("report")
