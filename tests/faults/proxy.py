"""A proxy in front of a real S3 server that does, on request, what networks and servers do on bad days.

Bytes pass through untouched but for the fault that is due, the Host header included, so signatures hold. Plain HTTP/1.1, a
thread per connection.
"""

import http.client
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP = {"connection", "transfer-encoding", "keep-alive"}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """``status`` and ``code``: answered at once, the server never hears of it. Otherwise one of these:

    ``hang`` seconds without an answer; ``deaf``: the server does what it is asked, the answer gets lost; ``cut``: half of the
    answer's body, then the end; ``flip``: one bit of the answer's body; ``flip_sent``: one bit of the request's body;
    ``trickle``: the body stops half way for ever; ``reset``: the connection closes before the server hears.
    """

    status: int = 0
    code: str = ""
    hang: float = 0.0
    deaf: bool = False
    cut: bool = False
    flip: bool = False
    flip_sent: bool = False
    trickle: bool = False
    reset: bool = False


@dataclass
class Orders:
    """What goes wrong with whom: the next so many matching requests, or a share of all."""

    fault: Fault
    left: int
    matches: Callable[[str, str], bool]


@dataclass
class FaultyProxy:
    """Forwards to ``upstream``; ``orders`` are obeyed first come, first served. ``log`` holds method, path and fault."""

    upstream: str
    orders: deque[Orders] = field(default_factory=deque)
    log: list[tuple[str, str, Fault | None]] = field(default_factory=list)
    storm: tuple[random.Random, float, list[Fault]] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, fault: Fault, times: int = 1, *, method: str = "", part: str = "") -> None:
        """The next ``times`` requests of this method whose path holds ``part`` meet this fault."""
        self.orders.append(Orders(fault, times, lambda verb, path: (not method or verb == method) and part in path))

    def calm(self) -> None:
        self.orders.clear()
        self.storm = None
        self.log.clear()

    def due(self, method: str, path: str) -> Fault | None:
        with self._lock:
            found = self._due(method, path)
            self.log.append((method, path, found))
            return found

    def _due(self, method: str, path: str) -> Fault | None:
        for orders in list(self.orders):
            if orders.matches(method, path):
                orders.left -= 1
                if orders.left == 0:
                    self.orders.remove(orders)
                return orders.fault
        if self.storm is not None:
            dice, share, faults = self.storm
            if dice.random() < share:
                return dice.choice(faults)
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyProxy
    stopping: threading.Event

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.due(self.command, self.path) or Fault()
        if fault.reset:
            self.close_connection = True
            return
        if fault.hang:
            self.stopping.wait(fault.hang)
            self.close_connection = True
            return
        if fault.status:
            self._answer(fault.status, [], _error(fault.code), fault)
            return
        if fault.flip_sent and body:
            body = _flipped(body)
        status, headers, answer = self._ask(body)
        if fault.deaf:
            self.close_connection = True
            return
        self._answer(status, headers, answer, fault)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        where = urlsplit(self.proxy.upstream)
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP | {"expect"}:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, [(n, v) for n, v in answer.getheaders() if n.lower() not in _HOP], answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, fault: Fault) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command == "HEAD":
            self.end_headers()
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault.flip and body:
            body = _flipped(body)
        if (fault.cut or fault.trickle) and len(body) > 1:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            if fault.trickle:
                self.stopping.wait(30)
            self.close_connection = True
            return
        self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _serve


def _flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


def _error(code: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'.encode()


@contextmanager
def proxied(upstream: str) -> Iterator[tuple[FaultyProxy, str]]:
    """A running proxy and its address."""
    proxy, stopping = FaultyProxy(upstream), threading.Event()
    handler = type("Handler", (_Handler,), {"proxy": proxy, "stopping": stopping})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy, f"http://127.0.0.1:{server.server_port}"
    finally:
        stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
        time.sleep(0)
