"""Shared by all tests: a clean environment, a moto S3 server, and (slow) a Ceph RADOS gateway."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
TEST_KEY = "a pseudonym key for tests alone"

# Before anything heavy is imported: no variable of a surrounding shell may change what a test sees.
for _name in [name for name in os.environ if name.startswith(("ICG_", "AIRFLOW", "SPARK_")) and name != "ICG_CLASSICS_DATA"]:
    del os.environ[_name]
os.environ |= {
    "ICG_PSEUDONYM_KEY": TEST_KEY,
    "GX_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYSPARK_PYTHON": sys.executable,
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
}
if (_java := Path(sys.executable).parents[1] / "icg-java").exists():
    os.environ["JAVA_HOME"] = str(_java)

S3_TEST_BUCKET = "icg-tests"


def free_port() -> int:
    """A loopback port nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def moto_variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A moto server of this session with a bucket; the AWS_ variables that lead to it."""
    port = free_port()
    log = (tmp_path_factory.mktemp("moto") / "log").open("wb")
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "icg",
        "AWS_SECRET_ACCESS_KEY": "icg-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }
    try:
        _wait_for(variables["AWS_ENDPOINT_URL"], server)
        _make_bucket(variables)
        yield variables
    finally:
        server.terminate()
        server.wait(timeout=20)
        log.close()


@pytest.fixture(scope="session")
def rgw_variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Ceph RADOS gateway of this session with a bucket (about 15 s, root and Debian's packages needed)."""
    if os.geteuid() != 0:
        pytest.skip("Ceph's daemons start as root only")
    home = tmp_path_factory.mktemp("rgw")
    script = str(REPOSITORY / "infra" / "rgw-up")
    try:
        done = subprocess.run([script, str(home), str(free_port())], capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr[-2000:]
        variables = dict(line.split("=", 1) for line in done.stdout.splitlines() if line.startswith("AWS_"))
        _make_bucket(variables)
        yield variables
    finally:
        subprocess.run([script, "--stop", str(home)], check=False, timeout=120)


@pytest.fixture
def moto_store_uri(moto_variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """s3://bucket/prefix of its own on the moto server; the environment leads there."""
    for name, value in moto_variables.items():
        monkeypatch.setenv(name, value)
    return f"s3://{S3_TEST_BUCKET}/{tmp_path.name}"


@pytest.fixture
def rgw_store_uri(rgw_variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """s3://bucket/prefix of its own on the gateway; the environment leads there."""
    for name, value in rgw_variables.items():
        monkeypatch.setenv(name, value)
    return f"s3://{S3_TEST_BUCKET}/{tmp_path.name}"


def _wait_for(url: str, server: subprocess.Popen[bytes], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError):
            assert server.poll() is None, "the server ended by itself"
            assert time.monotonic() < deadline, f"no answer from {url}"
            time.sleep(0.2)


def _make_bucket(variables: dict[str, str]) -> None:
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_DEFAULT_REGION"],
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=S3_TEST_BUCKET)
