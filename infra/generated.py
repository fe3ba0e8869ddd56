"""Files that follow from code: one command line to print, check or write any of them. Knows no file."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path


def keep(module: str, target: Path, rendered: Callable[[], str], source: str) -> int:
    """``python -m MODULE`` prints, ``--check`` compares, ``--write`` writes; exit code 1 where the file is not as it should be.

    ``source``: the file that the target follows from, for the message.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.write:
        target.write_text(rendered(), encoding="utf-8")
    elif not given.check:
        sys.stdout.write(rendered())
        return 0
    if not target.is_file() or target.read_text(encoding="utf-8") != rendered():
        sys.stderr.write(f"{target} does not follow from {source}; run: python -m {module} --write\n")
        return 1
    return 0
