"""`python -m infra.kubernetes [--check | --write]`: the Kubernetes objects around the pods."""

import argparse
import sys

from infra.kubernetes.objects import MANIFEST, rendered


def main() -> int:
    """Print, check or write the manifest; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.kubernetes")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.write:
        MANIFEST.write_text(rendered(), encoding="utf-8")
    elif not given.check:
        sys.stdout.write(rendered())
        return 0
    if not MANIFEST.is_file() or MANIFEST.read_text(encoding="utf-8") != rendered():
        sys.stderr.write(f"{MANIFEST} does not follow from objects.py; run: python -m infra.kubernetes --write\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
