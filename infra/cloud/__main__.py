"""`python -m infra.cloud [--check | --write]`: the CloudFormation template as it follows from rights.py."""

import argparse
import sys

from infra.cloud.template import TEMPLATE, rendered


def main() -> int:
    """Print, check or write the template; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.cloud")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.write:
        TEMPLATE.write_text(rendered(), encoding="utf-8")
    elif not given.check:
        sys.stdout.write(rendered())
        return 0
    if not TEMPLATE.is_file() or TEMPLATE.read_text(encoding="utf-8") != rendered():
        sys.stderr.write(f"{TEMPLATE} does not follow from rights.py; run: python -m infra.cloud --write\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
