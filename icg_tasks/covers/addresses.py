"""Where a browser finds a cover's image: behind a CDN, or at a presigned address of the store. A function from blob key to URL.

    reader = CoverReader(store, address_of=cdn("https://covers.example.org"))

Knows no cover; nothing here is looked up over the network.
"""

from collections.abc import Callable
from urllib.parse import quote, urlsplit

from icg_tasks.contracts.errors import SettingsError
from icg_tasks.contracts.partitions import checked_key
from icg_tasks.lake.store import ObjectStore

AddressOf = Callable[[str], str]
"""From a blob's key in the store to the address that a browser loads."""

MAX_SECONDS = 7 * 24 * 3600
"""What S3 allows a presigned address to live."""


def cdn(base: str) -> AddressOf:
    """Addresses below a CDN whose origin is the store's root; raises SettingsError for anything but an http(s) address.

    >>> cdn("https://covers.example.org/v/")("covers/v1/blobs/ab/abc.webp")
    'https://covers.example.org/v/covers/v1/blobs/ab/abc.webp'
    """
    parts = urlsplit(base)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
        raise SettingsError(f"address of a CDN is {base!r}; expected https://host/path")
    root = base.rstrip("/")
    return lambda key: f"{root}/{quote(checked_key(key))}"


def presigned(store: ObjectStore, seconds: int = 3600) -> AddressOf:
    """Addresses that the store signs for so many seconds (1 to a week); raises SettingsError outside that."""
    if not 1 <= seconds <= MAX_SECONDS:
        raise SettingsError(f"a presigned address for {seconds} seconds; expected 1 to {MAX_SECONDS}")
    return lambda key: store.presigned(checked_key(key), seconds)
