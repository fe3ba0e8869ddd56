"""Runs a stage as a Kubernetes pod with the stage's image, resources and rights: what `ICG_EXECUTION=kubernetes` means.

Imported only under that setting, since the provider brings the Kubernetes client into every parse. The pod's environment comes
from the ConfigMap `icg` (store, profile), the Secret `icg` where there is one (credentials, where no service account carries
them) and the Secrets of its needs. Its closing line is read from its log: no side-car, no right to run commands in pods.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import AirflowException, AirflowRescheduleException
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from icg_dags.defaults import INFRASTRUCTURE_DELAY_SECONDS, INFRASTRUCTURE_RETRIES, PODS, image_of
from icg_dags.lineage import TellsLineage
from icg_dags.local_stage import LAST_WORDS
from icg_dags.log_fields import name_lines
from icg_dags.metrics import tell_disrupted
from icg_dags.needs import Needs
from icg_dags.outcome import check_exit_code, closed
from icg_dags.parts import skip_unless_wanted
from icg_dags.pod_fate import done_by_cluster, exit_code, failed_by_api
from icg_dags.pod_spec import pod_options
from icg_dags.words import stage_words

_KEPT_LINES = 200


class StagePod(TellsLineage, KubernetesPodOperator):
    """`icg <stage> …` in a pod. A refused gate (exit 3) is not retried; what the cluster did to the pod uses up no retry."""

    template_fields = (*KubernetesPodOperator.template_fields, "run_date", "profile", "settings", "only", "shard")

    def __init__(
        self,
        *,
        stage: str,
        run_date: str,
        profile: str,
        settings: str = "",
        only: str = "",
        shard: int | None = None,
        words: tuple[str, ...] = (),
        needs: Needs | None = None,
        **options: Any,
    ) -> None:
        self.stage = stage
        self.run_date = run_date
        self.profile = profile
        self.settings = settings
        self.only = only
        self.shard = shard
        self.words = words
        self._fate: str | None = None
        self._code: int | None = None
        self._last_words = ""
        chosen = needs or PODS.needs(stage)
        super().__init__(image=image_of(chosen.image), **(pod_options(stage, chosen, PODS) | options))

    def command_arguments(self) -> list[str]:
        """The words behind `icg`."""
        words = stage_words(self.run_date, self.profile, settings=self.settings, shard=self.shard, more=self.words)
        return [self.stage, *words]

    def execute(self, context: Any) -> Any:
        """Start the pod with this run's words, wait; the closing line, pushed as XCom."""
        name_lines(self.stage, self.run_date)
        skip_unless_wanted(self.stage, self.only)
        self.arguments = self.command_arguments()
        try:
            super().execute(context)
        except (AirflowException, ApiException, HTTPError) as error:
            self._explain(context, error)
        if self.closing is None:  # killed on purpose
            raise AirflowException(f"{self.stage} for {self.run_date} was stopped before it ended")
        context["ti"].xcom_push(key="return_value", value=self.closing)
        return self.closing

    def cleanup(self, pod: Any, remote_pod: Any, *rest: Any, **options: Any) -> None:
        """As the provider does it, after a last look at the pod and the end of its log."""
        if remote_pod and not self._killed:
            found = self._look(remote_pod)
            self._fate, self._code = (
                done_by_cluster(found, self.base_container_name),
                exit_code(found, self.base_container_name),
            )
            lines = self._tail(found) if self._code is not None else []
            self._last_words = " | ".join(lines[-LAST_WORDS:])
            if self._code == 0:
                self.closing = closed(self.stage, lines)
        super().cleanup(pod, remote_pod, *rest, **options)

    def _explain(self, context: Any, error: Exception) -> None:
        """Raise what Airflow should make of the end: tried elsewhere, not tried again, or a try used up."""
        fate = self._fate or failed_by_api(error, pod_was_made=self.pod is not None)
        if fate is not None:
            spent = int(context.get("task_reschedule_count") or 0)
            if spent >= INFRASTRUCTURE_RETRIES:
                message = f"{self.stage} for {self.run_date}: {fate}; the cluster did so {spent + 1} times in this try"
                raise AirflowException(message) from error
            delay = INFRASTRUCTURE_DELAY_SECONDS * min(2**spent, 16)
            self.log.warning("%s; not the stage's fault: again in %d s, no retry is used up", fate, delay)
            tell_disrupted(self.stage)
            moment = datetime.now(UTC) + timedelta(seconds=delay)
            raise AirflowRescheduleException(moment) from error  # type: ignore[no-untyped-call]
        if self._code:
            check_exit_code(self.stage, str(self.run_date), self._code, self._last_words)
        raise error

    def _look(self, pod: Any) -> Any:
        try:
            return self.client.read_namespaced_pod(pod.metadata.name, pod.metadata.namespace)
        except ApiException as error:
            if error.status != 404:
                raise
            return None

    def _tail(self, pod: Any) -> list[str]:
        """The last lines of the stage's log. Read raw: the client would take a JSON line for an object."""
        name, namespace = pod.metadata.name, pod.metadata.namespace
        try:
            answer = self.client.read_namespaced_pod_log(
                name, namespace, container=self.base_container_name, tail_lines=_KEPT_LINES, _preload_content=False
            )
        except ApiException as error:
            self.log.warning("the log of %s can no longer be read: %s", name, error.reason)
            return []
        return [line for line in answer.data.decode("utf-8", errors="replace").splitlines() if line.strip()]
