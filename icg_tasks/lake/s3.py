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
from icg_tasks.lake.store import Entry

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
                max_pool_connections=32,  # stages read with 16 threads
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
        return self._head(key) is not None

    def size(self, key: str) -> int:
        """Bytes of the object by a HEAD request; raises DataMissing."""
        found = self._head(key)
        if found is None:
            raise DataMissing(f"no object {key!r} in {self.uri}")
        return int(found["ContentLength"])

    def etag(self, key: str) -> str | None:
        """The etag by a HEAD request, or None."""
        found = self._head(key)
        return None if found is None else str(found["ETag"])

    def list(self, prefix: str) -> Iterator[str]:
        """All keys that start with the prefix, in S3's own (sorted) order."""
        for entry in self.entries(prefix):
            yield entry.key

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Like ``list``; the time is S3's LastModified."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
        try:
            for page in pages:
                for entry in page.get("Contents", []):
                    key, modified = entry["Key"][len(self.prefix) :], entry["LastModified"].timestamp()
                    yield Entry(key=key, size=int(entry["Size"]), modified=modified)
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

    def presigned(self, key: str, seconds: int) -> str:
        """An https address, signed with this process' credentials, that lets anybody read the object for so long."""
        wanted = {"Bucket": self.bucket, "Key": self._full(key)}
        return str(self._client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=seconds))

    def _head(self, key: str) -> Any:
        """What S3 says of the object, or None where there is none."""
        try:
            return self._client.head_object(Bucket=self.bucket, Key=self._full(key))
        except ClientError as error:
            if _code(error) in _ABSENT:
                return None
            raise self._explained(error, key) from error

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
