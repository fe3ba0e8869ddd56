#!/usr/bin/env bash
# Installs the product with the given extras, by the lock, into a new virtual environment, with its bill of materials.
# Usage: infra/images/install.sh PREFIX EXTRAS    e.g. infra/images/install.sh /opt/icg training; run in the repository's root.
# What image builds and their replay in tests do alike. The tool that writes the bill is not part of the image.
set -euo pipefail
prefix=$1
extras=$2
[ -n "$extras" ] || { echo "install: EXTRAS is empty; give one or more of pyproject.toml's extras" >&2; exit 2; }

python3 -m venv "$prefix"
"$prefix/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check -c constraints.txt ".[$extras]"
"$prefix/bin/python" -m pip check
# The shipped checkpoints are data beside the recipe that trains them: they belong where the package is.
site=$("$prefix/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cp -R zoo/. "$site/zoo/"

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools/venv"
"$tools/venv/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check -r infra/images/tools.txt
"$tools/venv/bin/cyclonedx-py" environment --output-reproducible --of JSON -o "$prefix/sbom.cdx.json" "$prefix/bin/python"
