"""Makes infra/kubernetes/icg.yaml: namespace, one service account per stage, what Airflow may do there, network, settings.

The pods themselves are made by the Dag (dags/icg_dags/pod_spec.py). Cloud roles are tied to the service accounts by
infra/cloud (EKS Pod Identity), so nothing here names an account of a cloud. `python -m infra.kubernetes --write`.
"""

from pathlib import Path
from typing import Any

import yaml

from infra.cloud.rights import TAB, roles
from infra.cloud.template import role_name

MANIFEST = Path(__file__).parent / "icg.yaml"
NAMESPACE = "icg"
AIRFLOW_NAMESPACE = "airflow"
# The accounts of Airflow's workers and triggerer under the official chart, release name "airflow".
_AIRFLOW_ACCOUNTS = ("airflow-worker", "airflow-triggerer")
_LABELS = {"app.kubernetes.io/name": "icg-covers"}
_HEADER = "# Made by `python -m infra.kubernetes --write`; change infra/kubernetes/objects.py instead.\n"


def objects() -> list[dict[str, Any]]:
    """All objects, in the order in which they can be applied."""
    return [_namespace(), *_accounts(), _settings(), _may_run_pods(), _who_may(), _closed_doors(), _ways_out(), _spark_talks()]


def rendered() -> str:
    """The manifest as the file's text."""
    return _HEADER + str(yaml.safe_dump_all(objects(), sort_keys=False, explicit_start=True, width=120))


def _meta(name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
    return {"name": name, "namespace": namespace, "labels": dict(_LABELS)}


def _namespace() -> dict[str, Any]:
    levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": _LABELS | levels}}


def _accounts() -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": _meta(role_name(role.name)),
            "automountServiceAccountToken": False,
        }
        for role in roles()
        if role.name != TAB  # the chart's own account takes it
    ]


def _settings() -> dict[str, Any]:
    """What every stage's pod sees; secrets are not settings."""
    data = {"ICG_STORE": "s3://change-me", "ICG_PROFILE": "production"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta("icg"), "data": data}


def _may_run_pods() -> dict[str, Any]:
    """For stages and Spark's executors. No right to run commands in pods nor to read Secrets: closing lines come from logs."""
    rules = [
        {
            "apiGroups": [""],
            "resources": ["pods"],
            "verbs": ["create", "get", "list", "watch", "patch", "delete", "deletecollection"],
        },
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    ]
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": _meta("icg-pods"), "rules": rules}


def _who_may() -> dict[str, Any]:
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": AIRFLOW_NAMESPACE} for name in _AIRFLOW_ACCOUNTS]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": _meta("icg-pods"),
        "subjects": subjects,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "icg-pods"},
    }


def _closed_doors() -> dict[str, Any]:
    """Nobody connects to a stage, and a stage connects to nothing that is not allowed below."""
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": _meta("closed"), "spec": spec}


def _ways_out() -> dict[str, Any]:
    """Names, and HTTPS to the object store."""
    ports = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}, {"protocol": "TCP", "port": 443}]
    spec = {"podSelector": {"matchLabels": dict(_LABELS)}, "policyTypes": ["Egress"], "egress": [{"ports": ports}]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": _meta("ways-out"), "spec": spec}


def _spark_talks() -> dict[str, Any]:
    """Spark's executors talk to each other and to their drivers in Airflow's namespace."""
    drivers = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": AIRFLOW_NAMESPACE}}}
    executors = {"matchLabels": {"spark-role": "executor"}}
    peers = [drivers, {"podSelector": executors}]
    spec = {
        "podSelector": executors,
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": peers}],
        "egress": [{"to": peers}],
    }
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": _meta("spark-talks"), "spec": spec}
