"""Runs a stage as a Kubernetes pod with the stage's image and resources: what `ICG_EXECUTION=kubernetes` means.

Imported only under that setting, since the provider brings the Kubernetes client into every parse. The pod's environment
(store, credentials, pseudonym key) comes from the ConfigMap and the Secret named `icg`.
"""

from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from kubernetes.client import models

from icg_tasks.contracts.errors import EXIT_REFUSED, EXIT_USAGE

# The stage's one line on stdout is what Airflow's sidecar returns as XCom; `exec` hands the pod's SIGTERM to the stage.
_COMMAND = 'mkdir -p /airflow/xcom && exec icg "$@" >/airflow/xcom/return.json'


class StagePod(KubernetesPodOperator):
    """`icg <stage> …` in a pod. A refused gate (exit 3) is not retried."""

    template_fields = (*KubernetesPodOperator.template_fields, "run_date", "profile", "settings", "shard")

    def __init__(
        self,
        *,
        stage: str,
        run_date: str,
        profile: str,
        settings: str = "",
        shard: int | None = None,
        image: str = "",
        resources: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.stage = stage
        self.run_date = run_date
        self.profile = profile
        self.settings = settings
        self.shard = shard
        super().__init__(
            image=image,
            name=f"icg-{stage}",
            cmds=["bash", "-c", _COMMAND, "icg"],
            container_resources=models.V1ResourceRequirements(requests=resources, limits=resources),
            env_from=[
                models.V1EnvFromSource(config_map_ref=models.V1ConfigMapEnvSource(name="icg")),
                models.V1EnvFromSource(secret_ref=models.V1SecretEnvSource(name="icg")),
            ],
            termination_grace_period=30,
            do_xcom_push=True,
            log_events_on_failure=True,
            on_finish_action="delete_succeeded_pod",
            **options,
        )

    def execute(self, context: Any) -> Any:
        """Start the pod with this run's words and wait."""
        words = [self.stage, "--run-date", str(self.run_date), "--profile", str(self.profile)]
        words += [word for text in str(self.settings).split() for word in ("--set", text)]
        self.arguments = words if self.shard is None else [*words, "--shard", str(self.shard)]
        return super().execute(context)

    def cleanup(self, pod: Any, remote_pod: Any, *rest: Any, **options: Any) -> None:
        """As the provider does it; but a refusal becomes a failure that is not retried."""
        try:
            super().cleanup(pod, remote_pod, *rest, **options)
        except AirflowException as error:
            code = self._exit_code(remote_pod)
            if code in (EXIT_REFUSED, EXIT_USAGE):
                message = f"{self.stage} refused {self.run_date} (exit {code}); this is not retried, see its log"
                raise AirflowFailException(message) from error
            raise

    def _exit_code(self, remote_pod: Any) -> int | None:
        statuses = getattr(getattr(remote_pod, "status", None), "container_statuses", None) or []
        ended = [status.state.terminated for status in statuses if status.name == self.base_container_name and status.state]
        return int(ended[0].exit_code) if ended and ended[0] is not None else None
