"""The keyed hash that stands for a user: HMAC-SHA256 of the raw id, so nobody without the key can tell who it is.

Validation applies it to every row; nothing downstream sees a raw id. Whoever must find a user again (the cover reader, the
embedded world) calls the same function with the same key. Knows no data set. The key is a secret: it comes from the
environment variable ``ICG_PSEUDONYM_KEY`` alone, is never logged and never written. While a key is being changed,
``ICG_PSEUDONYM_FORMER_KEY`` holds the one before: validation then moves what is kept of a user to the new hash as soon as the
user's raw id passes by, so nobody's history is lost and no raw id is kept (``icg rotate-key``).
"""

import hmac
import os
from collections.abc import Iterable, Mapping

from icg_tasks.contracts.errors import SettingsError

KEY_VARIABLE = "ICG_PSEUDONYM_KEY"
FORMER_KEY_VARIABLE = "ICG_PSEUDONYM_FORMER_KEY"
MIN_KEY_CHARACTERS = 16
PSEUDONYM_DIGITS = 32


def pseudonym_key(environ: Mapping[str, str] | None = None) -> bytes:
    """The key from the environment; raises SettingsError where it is missing or shorter than 16 characters."""
    key = (os.environ if environ is None else environ).get(KEY_VARIABLE, "")
    if len(key) < MIN_KEY_CHARACTERS:
        found = "is not set" if not key else f"has {len(key)} characters"
        raise SettingsError(
            f"the environment variable {KEY_VARIABLE} {found}; set it to a secret of {MIN_KEY_CHARACTERS} characters or more, "
            "the same one on every day (another key makes every user a stranger)"
        )
    return key.encode()


def former_pseudonym_key(environ: Mapping[str, str] | None = None) -> bytes | None:
    """The key before this one while keys are changed, None outside a change; raises SettingsError where it cannot be one."""
    key = (os.environ if environ is None else environ).get(FORMER_KEY_VARIABLE, "")
    if not key:
        return None
    if len(key) < MIN_KEY_CHARACTERS:
        raise SettingsError(
            f"the environment variable {FORMER_KEY_VARIABLE} has {len(key)} characters; a key has {MIN_KEY_CHARACTERS} or "
            "more. Set it to the key before this one, or unset it when the change is over"
        )
    return None if key.encode() == pseudonym_key(environ) else key.encode()


def key_name(key: bytes) -> str:
    """Eight hex digits that tell keys apart and nothing about them: what partitions say they were hashed with.

    >>> key_name(b"sixteen letters!")
    '368749f6'
    """
    return hmac.digest(key, b"\0the name of this key", "sha256").hex()[:8]


def pseudonym(user_id: str, key: bytes) -> str:
    """The keyed hash of one raw user id: 32 lower-case hex digits.

    >>> pseudonym("reader-1", b"sixteen letters!")
    'c26224d8d9ef11b5925a0fae69180f23'
    """
    return hmac.digest(key, user_id.encode("utf-8", "surrogatepass"), "sha256").hex()[:PSEUDONYM_DIGITS]


def pseudonyms(user_ids: Iterable[str], key: bytes) -> dict[str, str]:
    """Each distinct raw id with its keyed hash; about three microseconds per distinct id."""
    return {user_id: pseudonym(user_id, key) for user_id in dict.fromkeys(user_ids)}
