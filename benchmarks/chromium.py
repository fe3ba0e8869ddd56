"""A headless Chromium spoken to over a pipe (DevTools protocol): open a page, ask it, take its picture. Nothing to run here.

Knows the browser, no page of the project. The program is Debian's ``chromium``; where there is none, ``FileNotFoundError``.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--remote-debugging-pipe",
)


class Chromium:
    """One browser with one page, as a context manager. ``timeout_seconds`` bounds every answer."""

    def __init__(self, *, width: int = 1280, height: int = 900, timeout_seconds: float = 120.0) -> None:
        program = shutil.which("chromium")
        if program is None:
            raise FileNotFoundError("no chromium on PATH; install Debian's package chromium")
        self._timeout = timeout_seconds
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        in_read, in_write = os.pipe()
        out_read, out_write = os.pipe()
        words = [program, *_FLAGS, f"--window-size={width},{height}", f"--user-data-dir={self._profile.name}", "about:blank"]
        # The protocol wants descriptors 3 and 4; a shell puts them there whatever numbers the pipes got.
        shell = f'exec "$@" 3<&{in_read} 4>&{out_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "chromium", *words],
            pass_fds=(in_read, out_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(in_read)
        os.close(out_write)
        self._in, self._out, self._buffer, self._number = in_write, out_read, b"", 0
        os.set_blocking(out_read, False)
        target = self._first_page()
        self._session = self._ask("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        self.events: list[dict[str, Any]] = []
        self.send("Page.enable")
        self.send("Runtime.enable")

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._profile.cleanup()

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools protocol to the page, and its answer; raises RuntimeError where it is refused."""
        return self._ask(method, parameters, self._session)

    def value(self, expression: str) -> Any:
        """What an expression comes to in the page (promises are awaited); raises RuntimeError with the page's own error."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails'].get('exception', answer['exceptionDetails'])}")
        return answer["result"].get("value")

    def open(self, address: str) -> None:
        """Go to an address; returns at once."""
        self.send("Page.navigate", url=address)

    def wait_for(self, expression: str) -> Any:
        """Ask until the page says something true; raises TimeoutError."""
        until = time.monotonic() + self._timeout
        while time.monotonic() < until:
            if found := self.value(expression):
                return found
            time.sleep(0.05)
        raise TimeoutError(f"{expression} did not come true within {self._timeout} s")

    def picture(self, path: Path, *, kind: str = "png", quality: int | None = None) -> None:
        """What is in view as an image file; ``kind`` png or webp."""
        extra = {} if quality is None else {"quality": quality}
        answer = self.send("Page.captureScreenshot", format=kind, **extra)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _first_page(self) -> str:
        """The tab that the browser opened by itself: it is in front, so it is painted."""
        until = time.monotonic() + self._timeout
        while time.monotonic() < until:
            for found in self._ask("Target.getTargets", {})["targetInfos"]:
                if found["type"] == "page":
                    return str(found["targetId"])
            time.sleep(0.05)
        raise TimeoutError("chromium opened no page")

    def _ask(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._in, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + self._timeout
        while time.monotonic() < until:
            answer = self._read()
            if answer is None:
                time.sleep(0.005)
            elif answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                found: dict[str, Any] = answer["result"]
                return found
            elif "method" in answer and session:
                self.events.append(answer)
        raise TimeoutError(f"{method} was not answered within {self._timeout} s")

    def _read(self) -> dict[str, Any] | None:
        while b"\0" not in self._buffer:
            try:
                data = os.read(self._out, 1 << 20)
            except BlockingIOError:
                return None
            if not data:
                raise RuntimeError("chromium has ended")
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(text)
        return found
