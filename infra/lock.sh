#!/usr/bin/env bash
# Recomputes constraints.txt from pyproject.toml (make lock), keeping every pin that still fits.
# Look at the change before committing it.
set -euo pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
links=$("${VENV:-.venv}/bin/python" -m pip config get global.find-links 2>/dev/null || true)
extra=$("${VENV:-.venv}/bin/python" -m pip config get global.extra-index-url 2>/dev/null || true)
export UV_FIND_LINKS=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-$links}} UV_INDEX=${UV_INDEX:-$extra} UV_INDEX_STRATEGY=unsafe-best-match
cp constraints.txt "$fresh"
"${VENV:-.venv}/bin/uv" pip compile pyproject.toml --all-extras --no-annotate --no-header --quiet -o "$fresh" >/dev/null
{ sed -n '/^#/p' constraints.txt; sed -E 's/^(torch==[0-9.]+)\+.*/\1/' "$fresh" | grep -v '^#'; } >constraints.txt.new
mv constraints.txt.new constraints.txt
