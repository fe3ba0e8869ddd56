"""S3 (and anything that speaks it) as object store, through boto3. Endpoint and credentials come from the environment.

Conditional writes are ``PutObject`` with If-None-Match / If-Match: single-part puts only, since multipart completion ignores
the condition on some servers. Every object is written with its SHA-256 beside it and read against it. What fails is tried
again where that can help, and is an IcgError where it cannot (s3_errors.py).
"""

import base64
import hashlib
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from icg_tasks.contracts.errors import DataMissing, SettingsError
from icg_tasks.contracts.partitions import checked_key
from icg_tasks.lake.s3_errors import ConditionFailed, DamagedBody, NotThere, again, error_code, told, was_retried
from icg_tasks.lake.store import Entry

_CONDITION_FAILED = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409", "NoSuchKey", "404"}
_SHA256, _WRITE = "icg-sha256", "icg-write"  # metadata: hash of the content; which single write it was
_SMALL_BYTES = 64_000_000
"""Up to here a file is written by one request, which the server checks by its MD5."""


class S3Store:
    """Objects below ``bucket/prefix``. Safe to share between threads."""

    def __init__(self, bucket: str, prefix: str, *, timeout_seconds: float = 60.0, attempts: int = 5) -> None:
        """``timeout_seconds``: without any byte of an answer; ``attempts``: per request, boto3's standard mode."""
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._attempts = attempts
        self._client: Any = boto3.client(
            "s3",
            config=Config(
                max_pool_connections=32,  # stages read and write with 16 threads
                connect_timeout=min(10.0, timeout_seconds),
                read_timeout=timeout_seconds,
                retries={"mode": "standard", "max_attempts": attempts},
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
            with self._told("read", key):
                return again(lambda: self._whole(key), self._attempts)
        except NotThere:
            return None

    def put(self, key: str, data: bytes) -> None:
        """Write or overwrite."""
        self._put(key, data, _metadata(data))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """If-None-Match: * — exactly one of many racers gets True."""
        return self._put_if(key, data, "IfNoneMatch", ["*"])

    def put_if_match(self, key: str, data: bytes, etag: str) -> bool:
        """If-Match — False when the version has changed or gone.

        Refused with the etag as it was given, it is tried without its quotes: Ceph's gateway compares with those left off.
        """
        return self._put_if(key, data, "IfMatch", [etag, etag.strip('"')])

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
        pages = iter(self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix))
        while True:
            with self._told("list", prefix):
                page = next(pages, None)
            if page is None:
                return
            for entry in page.get("Contents", []):
                key, modified = entry["Key"][len(self.prefix) :], entry["LastModified"].timestamp()
                yield Entry(key=key, size=int(entry["Size"]), modified=modified)

    def delete(self, key: str) -> None:
        """Remove; silent where there is nothing."""
        with self._told("delete", key):
            self._client.delete_object(Bucket=self.bucket, Key=self._full(key))

    def sweep(self, before: float) -> int:
        """End multipart uploads that were begun before a time and never finished: invisible, but stored and paid for."""
        ended = 0
        with self._told("look for unfinished uploads in", ""):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=self.prefix)
            for upload in (one for page in pages for one in page.get("Uploads", [])):
                if upload["Initiated"].timestamp() < before:
                    which = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                    self._client.abort_multipart_upload(Bucket=self.bucket, **which)
                    ended += 1
        return ended

    def upload(self, key: str, path: Path) -> None:
        """Stream a file in (multipart where it is large)."""
        if path.stat().st_size <= _SMALL_BYTES:
            self.put(key, path.read_bytes())
            return
        with path.open("rb") as handle:
            metadata = {_SHA256: hashlib.file_digest(handle, "sha256").hexdigest()}
        with self._told("write", key):
            self._client.upload_file(str(path), self.bucket, self._full(key), ExtraArgs={"Metadata": metadata})

    def download(self, key: str, path: Path) -> None:
        """Stream an object out; visible only when all of it is there and is what was written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")  # two may download the same
        try:
            with self._told("read", key):
                again(lambda: self._fetched(key, partial), self._attempts)
            partial.replace(path)
        except NotThere:
            raise DataMissing(f"no object {key!r} in {self.uri}") from None
        finally:
            partial.unlink(missing_ok=True)

    def local_path(self, key: str) -> Path | None:  # noqa: ARG002 - the protocol's signature
        """None: the store is remote."""
        return None

    def address(self, key: str) -> str:
        """s3://bucket/prefix/key"""
        return f"s3://{self.bucket}/{self._full(key)}"

    def presigned(self, key: str, seconds: int) -> str:
        """An https address, signed with this process' credentials, that lets anybody read the object for so long."""
        wanted = {"Bucket": self.bucket, "Key": self._full(key)}
        with self._told("sign an address of", key):
            return str(self._client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=seconds))

    def _whole(self, key: str) -> tuple[bytes, str]:
        answer = self._client.get_object(Bucket=self.bucket, Key=self._full(key))
        try:
            data: bytes = answer["Body"].read()
        except (BotoCoreError, OSError) as error:
            raise DamagedBody(f"its body broke off: {error}") from error
        _check(answer, hashlib.sha256(data).hexdigest())
        return data, str(answer["ETag"])

    def _fetched(self, key: str, partial: Path) -> None:
        answer = self._client.head_object(Bucket=self.bucket, Key=self._full(key))
        self._client.download_file(self.bucket, self._full(key), str(partial))
        with partial.open("rb") as handle:
            _check(answer, hashlib.file_digest(handle, "sha256").hexdigest())

    def _head(self, key: str) -> Any:
        """What S3 says of the object, or None where there is none."""
        try:
            with self._told("look at", key):
                return self._client.head_object(Bucket=self.bucket, Key=self._full(key))
        except NotThere:
            return None

    def _full(self, key: str) -> str:
        return self.prefix + checked_key(key)

    def _put_if(self, key: str, data: bytes, condition: str, values: Sequence[str]) -> bool:
        """Write if a condition holds with any of these values. A first try that got through unheard refuses its second."""
        metadata = _metadata(data) | {_WRITE: uuid.uuid4().hex}
        for value in dict.fromkeys(values):
            try:
                self._put(key, data, metadata, **{condition: value})
            except ConditionFailed as refused:
                if refused.retried and self._wrote(key, metadata[_WRITE]):
                    return True
            else:
                return True
        return False

    def _wrote(self, key: str, write: str) -> bool:
        return ((self._head(key) or {}).get("Metadata") or {}).get(_WRITE) == write

    def _put(self, key: str, data: bytes, metadata: dict[str, str], **condition: str) -> None:
        digest = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        wanted = {"Bucket": self.bucket, "Key": self._full(key), "ContentMD5": digest, "Metadata": metadata}
        with self._told("write", key):
            try:
                again(lambda: self._client.put_object(Body=data, **wanted, **condition), self._attempts)
            except ClientError as error:
                if condition and error_code(error) in _CONDITION_FAILED:
                    raise ConditionFailed(retried=was_retried(error)) from error
                raise

    def _told(self, what: str, key: str) -> AbstractContextManager[None]:
        return told(what, f"s3://{self.bucket}/{self.prefix}{key}")


def _metadata(data: bytes) -> dict[str, str]:
    return {_SHA256: hashlib.sha256(data).hexdigest()}


def _check(answer: Any, sha256: str) -> None:
    """Against the hash that was written beside the content, where there is one (others may write here too)."""
    wanted = answer.get("Metadata", {}).get(_SHA256)
    if wanted is not None and wanted != sha256:
        raise DamagedBody("its content is not what was written there")
