"""An S3 endpoint for `STORE=s3`: the one named by AWS_ENDPOINT_URL, or a moto server whose content is kept between demos.

moto holds everything in memory; so its bucket is copied to a folder at the end, which a person can open, and back at the start.
"""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from icg_tasks.contracts.errors import IcgError
from icg_tasks.lake.store import open_store
from infra.demo.options import DemoFailed, Options
from infra.demo.processes import Service, free_ports

BUCKET = "icg-demo"
_CHECKSUMS = {
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
}


def start_moto(options: Options) -> tuple[Service, dict[str, str]]:
    """A moto server on a free port, and the variables that lead to it."""
    port = free_ports(1)[0]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    service = Service("moto", words, os.environ, options.home / "logs" / "moto.log")
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "icg",
        "AWS_SECRET_ACCESS_KEY": "icg-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    return service, variables | _CHECKSUMS


def given_endpoint() -> dict[str, str] | None:
    """The AWS_ variables of the caller, where they name an endpoint or credentials; None otherwise."""
    if not (os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_PROFILE") or os.environ.get("AWS_ACCESS_KEY_ID")):
        return None
    given = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return _CHECKSUMS | {"AWS_DEFAULT_REGION": "us-east-1"} | given


def make_bucket(variables: Mapping[str, str], bucket: str, seconds: float = 30) -> None:
    """Create the bucket if it is not there, waiting for the server to come up; raises DemoFailed."""
    os.environ.update(variables)  # this process reads the store too, for the tables at the end
    client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}))
    deadline = time.monotonic() + seconds
    while True:
        try:
            client.head_bucket(Bucket=bucket)
            return
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in {"404", "NoSuchBucket"}:
                raise DemoFailed(f"the S3 endpoint refuses bucket {bucket}: {error}", "check the AWS_ variables") from error
            client.create_bucket(Bucket=bucket)
            return
        except BotoCoreError as error:
            if time.monotonic() > deadline:
                address = variables.get("AWS_ENDPOINT_URL", "the default endpoint")
                raise DemoFailed(
                    f"no S3 answer from {address}: {error}", "check AWS_ENDPOINT_URL, or unset it for a moto server"
                ) from error
            time.sleep(0.3)


def copy_store(source: str, target: str) -> int:
    """Copy every object that the target lacks or whose bytes may differ; number of objects in the source. Raises DemoFailed."""
    origin, copy = open_store(source), open_store(target)
    number = 0
    try:
        for key in origin.list(""):
            number += 1
            data = origin.get(key)
            found = copy.get_with_etag(key)
            if found is None or found[0] != data:
                copy.put(key, data)
    except IcgError as error:
        raise DemoFailed(f"copying {source} to {target} stopped: {error}") from error
    return number


def kept_folder(options: Options) -> Path:
    """Where a moto bucket's content stays between demos."""
    return options.home / f"{options.world_name}-s3"
