"""`python -m infra.cloud [--check | --write]`: the CloudFormation template as it follows from rights.py."""

import sys

from infra.cloud.template import TEMPLATE, rendered
from infra.generated import keep

if __name__ == "__main__":
    sys.exit(keep("infra.cloud", TEMPLATE, rendered, "rights.py"))
