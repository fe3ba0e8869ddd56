"""Who is killed by benchmarks/chaos.py, and how it is told that it works again. Nothing to run here."""

import psutil

from benchmarks.chaos_airflow import Cluster
from benchmarks.chaos_services import kill

WORKERS = ("stage", "task process", "worker alone", "worker and all below")


def strike(cluster: Cluster, component: str, number: int) -> str:
    """Kill it; in words, what was killed. Empty where there is nothing to kill just now."""
    supervisor = cluster.supervisor
    if component == "worker":
        return strike_worker(cluster, WORKERS[number % len(WORKERS)])
    if not supervisor.services[component].family():
        return ""
    if component == "scheduler" and number % 2:
        supervisor.kill(component, alone=True)
        return "scheduler alone"
    supervisor.kill(component)
    return "scheduler and all its workers" if component == "scheduler" else component


def strike_worker(cluster: Cluster, whom: str) -> str:
    """Kill one process of a task at work, or all of them."""
    family = cluster.supervisor.services["scheduler"].family()
    for worker in family[0].children() if family else []:
        try:
            runners = worker.children()
            stages = [stage for runner in runners for stage in runner.children()]
            everybody = [worker, *worker.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        if stages:
            for process in {WORKERS[0]: stages, WORKERS[1]: runners, WORKERS[2]: [worker], WORKERS[3]: everybody}[whom]:
                kill(process)
            return whom
    return ""


def is_back(cluster: Cluster, component: str, since: float) -> bool:
    """Whether the component works again. ``since``: seconds since it was killed."""
    if component == "api-server":
        return cluster.answers()
    if component == "store":
        return cluster.store_answers()
    if component == "database":
        return cluster.ask("select 1") is not None
    if component == "scheduler":
        words = "select 1 from job where job_type = 'SchedulerJob' and latest_heartbeat > now() - %s * interval '1 second'"
    else:
        words = "select 1 from task_instance where state = 'running' and start_date > now() - %s * interval '1 second'"
    return bool(cluster.ask(words, since))
