"""S3 (and anything that speaks it) as object store, through boto3. Endpoint and credentials come from the environment.

Conditional writes are ``PutObject`` with If-None-Match / If-Match: single-part puts only, since multipart completion ignores
the condition on some servers.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from icg_tasks.contracts.errors import DataMissing, IcgError, SettingsError
from icg_tasks.contracts.partitions import checked_key

_ABSENT = {"NoSuchKey", "404", "NotFound"}
_CONDITION_FAILED = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409", "NoSuchKey", "404"}


class S3Store:
    """Objects below ``bucket/prefix``. Retries are boto3's standard mode."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client: Any = boto3.client(
            "s3",
            config=Config(
                retries={"mode": "standard", "max_attempts": 5},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": "path"},
            ),
        )

    @classmethod
    def from_uri(cls, uri: str) -> "S3Store":
        """From ``s3://bucket/prefix``; raises SettingsError without a bucket."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        if not bucket:
            raise SettingsError(f"store {uri!r}: expected s3://bucket/prefix")
        return cls(bucket, prefix)

    @property
    def uri(self) -> str:
        """s3://bucket/prefix"""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def get(self, key: str) -> bytes:
        """The object's bytes; raises DataMissing."""
        found = self.get_with_etag(key)
        if found is None:
            raise DataMissing(f"no object {key!r} in {self.uri}")
        return found[0]

    def get_with_etag(self, key: str) -> tuple[bytes, str] | None:
        """Bytes and etag, or None."""
        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=self._full(key))
            return answer["Body"].read(), answer["ETag"]
        except ClientError as error:
            if _code(error) in _ABSENT:
                return None
            raise self._explained(error, key) from error

    def put(self, key: str, data: bytes) -> None:
        """Write or overwrite."""
        self._put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """If-None-Match: * — exactly one of many racers gets True."""
        return self._put(key, data, IfNoneMatch="*")

    def put_if_match(self, key: str, data: bytes, etag: str) -> bool:
        """If-Match — False when the version has changed or gone.

        Refused with the etag as it was given, it is tried without its quotes: Ceph's gateway compares with those left off.
        """
        return self._put(key, data, IfMatch=etag) or self._put(key, data, IfMatch=etag.strip('"'))

    def exists(self, key: str) -> bool:
        """Whether there is an object."""
        try:
            self._client.head_object(Bucket=self.bucket, Key=self._full(key))
        except ClientError as error:
            if _code(error) in _ABSENT:
                return False
            raise self._explained(error, key) from error
        return True

    def size(self, key: str) -> int:
        """Bytes of the object by a HEAD request; raises DataMissing."""
        try:
            return int(self._client.head_object(Bucket=self.bucket, Key=self._full(key))["ContentLength"])
        except ClientError as error:
            if _code(error) in _ABSENT:
                raise DataMissing(f"no object {key!r} in {self.uri}") from None
            raise self._explained(error, key) from error

    def list(self, prefix: str) -> Iterator[str]:
        """All keys that start with the prefix, in S3's own (sorted) order."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
        try:
            for page in pages:
                for entry in page.get("Contents", []):
                    yield entry["Key"][len(self.prefix) :]
        except ClientError as error:
            raise self._explained(error, prefix) from error

    def delete(self, key: str) -> None:
        """Remove; silent where there is nothing."""
        self._client.delete_object(Bucket=self.bucket, Key=self._full(key))

    def upload(self, key: str, path: Path) -> None:
        """Stream a file in (multipart where it is large)."""
        self._client.upload_file(str(path), self.bucket, self._full(key))

    def download(self, key: str, path: Path) -> None:
        """Stream an object out."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")  # two may download the same
        try:
            self._client.download_file(self.bucket, self._full(key), str(partial))
        except ClientError as error:
            if _code(error) in _ABSENT:
                raise DataMissing(f"no object {key!r} in {self.uri}") from None
            raise self._explained(error, key) from error
        partial.replace(path)

    def local_path(self, key: str) -> Path | None:  # noqa: ARG002 - the protocol's signature
        """None: the store is remote."""
        return None

    def address(self, key: str) -> str:
        """s3://bucket/prefix/key"""
        return f"s3://{self.bucket}/{self._full(key)}"

    def _full(self, key: str) -> str:
        return self.prefix + checked_key(key)

    def _put(self, key: str, data: bytes, **condition: str) -> bool:
        try:
            self._client.put_object(Bucket=self.bucket, Key=self._full(key), Body=data, **condition)
        except ClientError as error:
            if condition and _code(error) in _CONDITION_FAILED:
                return False
            raise self._explained(error, key) from error
        return True

    def _explained(self, error: ClientError, key: str) -> IcgError:
        advice = "check AWS_ENDPOINT_URL, credentials and that the bucket exists"
        return IcgError(f"S3 answered {_code(error)} for {self.uri}/{key}: {advice}")


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
