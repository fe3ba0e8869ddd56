"""A stage as a pod: what the pod is told, and what its exit code means. No cluster is asked."""

from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

_CLUSTER = """
apiVersion: v1
kind: Config
current-context: nowhere
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: nobody, user: {token: none}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
"""


@pytest.fixture
def pod_stage(tmp_path):
    from icg_dags.pod_stage import StagePod

    (tmp_path / "kubeconfig").write_text(_CLUSTER)  # the provider reads one even to describe a pod

    return StagePod(
        task_id="generate-covers", stage="generate-covers", run_date="2026-03-10", profile="production",
        settings="covers.steps=4 world.seed=9", shard=3, image="images.example/icg-training:0.1.0",
        resources={"cpu": "8", "nvidia.com/gpu": "1"}, in_cluster=False, config_file=str(tmp_path / "kubeconfig"),
    )  # fmt: skip


def test_pod_runs_the_stages_command_with_its_image_and_resources(pod_stage, monkeypatch):
    started = []
    monkeypatch.setattr(type(pod_stage).__mro__[1], "execute", lambda self, context: started.append(list(self.arguments)))
    pod_stage.execute({})
    assert started == [
        ["generate-covers", "--run-date", "2026-03-10", "--profile", "production",
         "--set", "covers.steps=4", "--set", "world.seed=9", "--shard", "3"],
    ]  # fmt: skip
    request = pod_stage.build_pod_request_obj()
    container = request.spec.containers[0]
    assert container.image == "images.example/icg-training:0.1.0"
    assert container.args == started[0]
    assert container.command[:2] == ["bash", "-c"]
    assert "exec icg" in container.command[2]
    assert container.resources.limits == {"cpu": "8", "nvidia.com/gpu": "1"}
    assert {source.secret_ref.name for source in container.env_from if source.secret_ref} == {"icg"}


def ended(code: int) -> SimpleNamespace:
    """A pod whose stage ended with this exit code, as the cluster tells it."""
    terminated = SimpleNamespace(exit_code=code, message="", reason="Error")
    status = SimpleNamespace(
        name="base", state=SimpleNamespace(terminated=terminated, running=None, waiting=None), terminated=None
    )
    return SimpleNamespace(status=SimpleNamespace(container_statuses=[status], phase="Failed"))


@pytest.mark.parametrize(
    ("code", "error"), [(3, AirflowFailException), (2, AirflowFailException), (75, AirflowException), (1, AirflowException)]
)
def test_refusal_is_final_and_anything_else_is_tried_again(pod_stage, monkeypatch, code, error):
    def provider_cleanup(self, pod, remote_pod, *rest, **options):
        raise AirflowException("Pod returned a failure.")

    monkeypatch.setattr(type(pod_stage).__mro__[1], "cleanup", provider_cleanup)
    with pytest.raises(error) as caught:
        pod_stage.cleanup(None, ended(code))
    assert type(caught.value) is error
