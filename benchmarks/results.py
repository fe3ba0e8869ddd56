"""Writes a benchmark's section into benchmarks/RESULTS.md: what was run, when, on which machine, and the figures.

A section is replaced when its benchmark runs again; the others stay. Nothing to run here.
"""

import os
import platform
import re
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
_HEAD = "# Results\n\nEach section is written by its benchmark; the command is in it.\n"


def write_section(title: str, body: str) -> None:
    """Replace or append the section ``title`` (Markdown body)."""
    text = RESULTS.read_text() if RESULTS.exists() else _HEAD
    command = shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *_public(sys.argv[1:])])
    stamp = f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, {machine()}"
    section = f"## {title}\n\n{stamp}\n\n{body.strip()}\n"
    found = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    text = found.sub(lambda _: section + "\n", text) if found.search(text) else f"{text.rstrip()}\n\n{section}"
    RESULTS.write_text(text.rstrip() + "\n")


def _public(words: list[str]) -> list[str]:
    """Without this machine's folders."""
    hidden = [re.sub(r"^(store|work_folder|\d+)=.*", r"\1=…", word) for word in words]
    return [re.sub(r"(^|=)/.*", r"\1…", word) for word in hidden]


def machine() -> str:
    """Cores, processor and Python, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return f"{os.cpu_count()} cores ({names[0] if names else platform.machine()}), Python {platform.python_version()}"
