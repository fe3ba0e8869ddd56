"""A stand-in for the Kubernetes API, for tests: every pod's command runs as a process here. Nothing of it ships.

It keeps what matters of a cluster: a pod sees its own environment alone (ConfigMaps, Secrets, its variables), its volumes are
folders of its own (an emptyDir) or shared (a claim), it can be pre-empted with notice, evicted, or fail to pull its image.
Images are not looked at: `icg` is the one of this environment.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_POD = re.compile(r"/api/v1/namespaces/([^/]+)/pods(?:/([^/]+))?(/log)?$")


@dataclass
class Disturbance:
    """What happens to a pod. ``kind``: pre-empt (with notice), image (not pulled), vanish; ``on_line``: once it says this."""

    kind: str
    on_line: str = ""


@dataclass
class Pod:
    """One pod: its manifest as asked for, its process, its log as (time, line)."""

    body: dict[str, Any]
    folder: Path
    process: subprocess.Popen[str] | None = None
    log: list[tuple[str, str]] = field(default_factory=list)
    disturbance: Disturbance | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def component(self) -> str:
        """The stage it runs."""
        return self.body["metadata"]["labels"]["app.kubernetes.io/component"]


class StandIn:
    """The cluster. ``disturb`` before a run; ``pods`` tells afterwards what was asked for."""

    def __init__(self, folder: Path, path: str, config_maps: dict[str, Any], secrets: dict[str, Any]) -> None:
        self.folder, self.path = folder, path
        self.config_maps, self.secrets = config_maps, secrets
        self.pods: list[Pod] = []  # ever
        self.live: dict[str, Pod] = {}
        self.faults: list[str] = []
        self._disturbances: dict[str, list[Disturbance]] = {}
        self._lock = threading.RLock()
        stand_in = self
        handler = type("Handler", (_Handler,), {"stand_in": stand_in})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def disturb(self, component: str, *disturbances: Disturbance) -> None:
        """What happens to the first pods of a stage, one each."""
        self._disturbances[component] = list(disturbances)

    def kubeconfig(self) -> Path:
        """A configuration file that leads here."""
        address = f"http://127.0.0.1:{self.server.server_address[1]}"
        path = self.folder / "kubeconfig"
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": address}}],
            "users": [{"name": "me", "user": {"token": "none"}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        }  # fmt: skip
        path.write_text(json.dumps(config))
        return path

    def stop(self) -> None:
        """End it and every process of its pods."""
        self.server.shutdown()
        for pod in list(self.live.values()):
            self._kill(pod)

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """A new pod, started at once."""
        name = body["metadata"]["name"]
        with self._lock:
            pod = Pod(body, self.folder / "pods" / name)
            pod.folder.mkdir(parents=True)
            self.pods.append(pod)
            self.live[name] = pod
            waiting = self._disturbances.get(pod.component, [])
            pod.disturbance = waiting.pop(0) if waiting else None
        body["metadata"]["uid"] = name
        if pod.disturbance is not None and pod.disturbance.kind == "image":
            state = {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}
            self._set(pod, "Pending", state)
            return body
        try:
            environment = self._environment(pod)
        except KeyError as error:
            self.faults.append(f"{name}: {error}")
            self._set(pod, "Pending", {"waiting": {"reason": "CreateContainerConfigError", "message": str(error)}})
            return body
        container = body["spec"]["containers"][0]
        words = [*container["command"], *container.get("args", [])]
        pod.process = subprocess.Popen(
            words, env=environment, cwd=pod.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", start_new_session=True,
        )  # fmt: skip
        self._set(pod, "Running", {"running": {"startedAt": _now()}})
        threading.Thread(target=self._follow, args=(pod,), daemon=True).start()
        return body

    def delete(self, name: str, grace_seconds: float) -> dict[str, Any]:
        """SIGTERM, the time of grace, SIGKILL; then it is gone."""
        pod = self.live[name]
        pod.body["metadata"]["deletionTimestamp"] = _now()
        if pod.process is not None and pod.process.poll() is None:
            pod.process.terminate()
            if not pod.ended.wait(grace_seconds):
                self._kill(pod)
        self.live.pop(name, None)
        return pod.body

    def _follow(self, pod: Pod) -> None:
        disturbance = pod.disturbance
        for line in pod.process.stdout:
            pod.log.append((_now(), line.rstrip("\n")))
            if disturbance is not None and disturbance.on_line in line:
                threading.Thread(target=self._strike, args=(pod, disturbance), daemon=True).start()
                disturbance = None
        code = pod.process.wait()
        number = 128 - code if code < 0 else code
        self._set(pod, "Succeeded" if code == 0 else "Failed", {"terminated": {"exitCode": number, "reason": "Completed"}})
        pod.ended.set()

    def _strike(self, pod: Pod, disturbance: Disturbance) -> None:
        if disturbance.kind == "vanish":  # the node is lost: no notice, nothing to ask about it
            self._kill(pod)
            self.live.pop(pod.body["metadata"]["name"], None)
            return
        why = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "lastTransitionTime": _now()}
        pod.body["status"]["conditions"].append(why)
        self.delete_in_place(pod)

    def delete_in_place(self, pod: Pod) -> None:
        """Notice and end of a pre-empted pod, which can still be looked at for a while."""
        pod.body["metadata"]["deletionTimestamp"] = _now()
        pod.process.terminate()
        if not pod.ended.wait(pod.body["spec"]["terminationGracePeriodSeconds"]):
            self._kill(pod)

    def _kill(self, pod: Pod) -> None:
        if pod.process is not None and pod.process.poll() is None:
            os.killpg(pod.process.pid, signal.SIGKILL)
            pod.process.wait()

    def _set(self, pod: Pod, phase: str, state: dict[str, Any]) -> None:
        container = pod.body["spec"]["containers"][0]
        status = pod.body.setdefault("status", {"conditions": [{"type": "PodScheduled", "status": "True"}]})
        status["phase"] = phase
        ready = {"ready": False, "restartCount": 0, "imageID": "", "image": container["image"]}
        status["containerStatuses"] = [ready | {"name": container["name"], "state": state}]

    def _environment(self, pod: Pod) -> dict[str, str]:
        container = pod.body["spec"]["containers"][0]
        found = {"PATH": self.path, "LANG": "C.UTF-8"}
        for source in container.get("envFrom", []):
            kind, known = ("configMapRef", self.config_maps) if "configMapRef" in source else ("secretRef", self.secrets)
            reference = source[kind]
            if reference["name"] in known:
                found |= known[reference["name"]]
            elif not reference.get("optional"):
                raise KeyError(f"{kind} {reference['name']} not found")
        own = {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}
        places: dict[str, Path] = {}
        volumes = {volume["name"]: volume for volume in pod.body["spec"].get("volumes", [])}
        for mount in container.get("volumeMounts", []):
            claim = volumes[mount["name"]].get("persistentVolumeClaim")
            place = self.folder / "claims" / claim["claimName"] if claim else pod.folder / mount["name"]
            place.mkdir(parents=True, exist_ok=True)
            places[mount["mountPath"]] = place
        own = {name: str(places[value]) if value in places else value for name, value in own.items()}
        return found | own | {"TMPDIR": str(pod.folder / "tmp")}


class _Handler(BaseHTTPRequestHandler):
    stand_in: StandIn
    protocol_version = "HTTP/1.0"

    def log_message(self, *_: Any) -> None:
        """Silence."""

    def do_GET(self) -> None:
        """List, read, log, events."""
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        found = _POD.search(url.path)
        if url.path.endswith("/events"):
            return self._answer({"kind": "EventList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []})
        if found is None:
            return self._fail(404, url.path)
        if found[2] is None:
            chosen = [pod.body for pod in self.stand_in.live.values() if _selected(pod, query.get("labelSelector", ""))]
            return self._answer({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": chosen})
        pod = self.stand_in.live.get(found[2])
        if pod is None:
            return self._fail(404, found[2])
        return self._log(pod, query) if found[3] else self._answer(pod.body)

    def do_POST(self) -> None:
        """Create."""
        self._answer(self.stand_in.create(self._body()), 201)

    def do_PATCH(self) -> None:
        """Labels alone."""
        pod = self.stand_in.live.get(_POD.search(urlsplit(self.path).path)[2])
        if pod is None:
            return self._fail(404, self.path)
        pod.body["metadata"]["labels"] |= self._body()["metadata"]["labels"]
        return self._answer(pod.body)

    def do_DELETE(self) -> None:
        """Delete, with grace."""
        url = urlsplit(self.path)
        name = _POD.search(url.path)[2]
        if name not in self.stand_in.live:
            return self._fail(404, name)
        body = self._body()
        grace = body.get("gracePeriodSeconds") or parse_qs(url.query).get("gracePeriodSeconds", [30])[0]
        return self._answer(self.stand_in.delete(name, float(grace)))

    def _log(self, pod: Pod, query: dict[str, str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        if "tailLines" in query:
            pod.ended.wait(5)
            lines = pod.log[-int(query["tailLines"]) :]
            self.wfile.write("".join(f"{line}\n" for _, line in lines).encode())
            return
        sent = 0
        while True:
            over = pod.ended.is_set() or pod.process is None
            for moment, line in pod.log[sent:]:
                self.wfile.write(f"{moment} {line}\n".encode())
                sent += 1
            if over or query.get("follow") != "True":
                return
            time.sleep(0.1)

    def _body(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length") or 0)
        return json.loads(self.rfile.read(length)) if length else {}

    def _answer(self, body: dict[str, Any], code: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _fail(self, code: int, what: str) -> None:
        self._answer({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": what}, code)


def _selected(pod: Pod, selector: str) -> bool:
    labels = pod.body["metadata"]["labels"]
    for term in filter(None, selector.split(",")):
        name, unequal, value = term.partition("!=")
        if unequal:
            if labels.get(name) == value:
                return False
        elif term.startswith("!"):
            if term[1:] in labels:
                return False
        elif labels.get(term.partition("=")[0]) != term.partition("=")[2]:
            return False
    return True


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def tool_path() -> str:
    """PATH of a pod: this environment's commands and the system's."""
    icg = shutil.which("icg")
    assert icg is not None
    return f"{Path(icg).parent}:/usr/local/bin:/usr/bin:/bin"
