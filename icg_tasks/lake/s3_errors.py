"""What can go wrong between here and an S3 server, in words: what was found, where, and what to do. Knows no key's meaning.

boto3 tries again by itself whatever a server says in time (5xx, slow down, a connection that breaks off before the answer).
``again`` adds what it does not: bodies that end early or arrive damaged, in either direction.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from icg_tasks.contracts.errors import IcgError
from icg_tasks.lake.disk import room_on_disk

_RESUMES = "then run the stage again: what it has finished stays"
_BY_CODE = {
    f"renew the credentials, which have expired (profile, AWS_SESSION_TOKEN or the pod's role), {_RESUMES}": (
        "ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired", "InvalidToken",
    ),
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or the profile or role), and that they may read and write there": (
        "AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Forbidden", "403",
    ),
    "set this machine's clock; it differs too much from the server's": ("RequestTimeTooSkewed",),
    "create the bucket, or correct the setting `store`": ("NoSuchBucket", "InvalidBucketName"),
    f"the server asks for fewer requests; run fewer shards at once or wait, {_RESUMES}": (
        "SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded",
        "503", "429",
    ),
    f"the server has no room left: free some (icg covers collect) or raise the quota, {_RESUMES}": (
        "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "507",
    ),
    f"data is damaged on its way to the server; look at the network and proxies between, {_RESUMES}": (
        "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody",
    ),
    f"the server fails; look at its log or wait, {_RESUMES}": ("InternalError", "500", "502", "504", "RequestTimeout"),
}  # fmt: skip
_ADVICE = {code: advice for advice, codes in _BY_CODE.items() for code in codes}
_ON_THE_WAY = frozenset({"BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"})
_ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})
_FIRST_PAUSE_SECONDS = 0.2

Answer = TypeVar("Answer")


class NotThere(IcgError):
    """There is no such object."""


class ConditionFailed(IcgError):
    """A conditional write was refused; ``retried``: perhaps since an earlier try of it had got through."""

    def __init__(self, *, retried: bool) -> None:
        super().__init__("the condition of a write does not hold")
        self.retried = retried


class DamagedBody(Exception):
    """What arrived is not, or not all of, what was stored."""


FAULTS = (ClientError, BotoCoreError, Boto3Error, DamagedBody)
"""Everything that boto3, or a check of ours, raises."""


def again(attempt: Callable[[], Answer], attempts: int) -> Answer:
    """The answer of the first try whose body was whole; raises what the last one raised."""
    for number in range(1, attempts + 1):
        try:
            return attempt()
        except FAULTS as error:
            if number == attempts or not _came_damaged(error):
                raise
            time.sleep(min(5.0, _FIRST_PAUSE_SECONDS * 2**number))
    raise IcgError(f"an S3 store with {attempts} attempts cannot do anything; give it 1 or more")


@contextmanager
def told(what: str, address: str) -> Iterator[None]:
    """Whatever goes wrong inside, as an IcgError; NotThere where there is no such object, here or on this machine's disk."""
    try:
        with room_on_disk():
            yield
    except FAULTS as error:
        if isinstance(error, ClientError) and error_code(error) in _ABSENT:
            raise NotThere(f"nothing is at {address}") from error
        raise explained(error, what, address) from error


def explained(error: Exception, what: str, address: str) -> IcgError:
    """The same as an IcgError: what failed, where, and what to do."""
    if isinstance(error, ClientError):
        code = error_code(error)
        tries = 1 + int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))
        advice = _ADVICE.get(code, "check AWS_ENDPOINT_URL, credentials and that the bucket exists")
        times = f" {tries} times" if tries > 1 else ""
        return IcgError(f"S3 answered {code}{times} to {what} {address}: {advice}")
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return IcgError(f"no credentials to {what} {address} ({error}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if isinstance(error, DamagedBody):
        advice = "look at the network and proxies between, or restore the object"
        return IcgError(f"cannot {what} {address}, it arrives damaged each time ({error}): {advice}")
    if isinstance(error, HTTPClientError):
        return IcgError(f"no whole answer to {what} {address} ({error}): check AWS_ENDPOINT_URL and the network, {_RESUMES}")
    return IcgError(f"cannot {what} {address} ({error}): check AWS_ENDPOINT_URL, credentials and the network, {_RESUMES}")


def error_code(error: ClientError) -> str:
    """S3's own name of what went wrong, or the HTTP status where it gave none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def was_retried(error: ClientError) -> bool:
    """Whether an earlier try of this very request may have reached the server."""
    said: Any = error.response.get("ResponseMetadata", {})
    return int(said.get("RetryAttempts", 0)) > 0


def _came_damaged(error: Exception) -> bool:
    return isinstance(error, DamagedBody) or (isinstance(error, ClientError) and error_code(error) in _ON_THE_WAY)
