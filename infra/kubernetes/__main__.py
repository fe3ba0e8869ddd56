"""`python -m infra.kubernetes [--check | --write]`: the Kubernetes objects around the pods."""

import sys

from infra.generated import keep
from infra.kubernetes.objects import MANIFEST, rendered

if __name__ == "__main__":
    sys.exit(keep("infra.kubernetes", MANIFEST, rendered, "objects.py"))
