"""Which items and users no training ever sees, so that evaluation has somebody new to judge by. A stable hash decides.

Knows no data set: the same id is held out on every day, on every machine, under every seed.
"""

import hashlib

HELD_OUT_ITEM_SHARE = 0.20
HELD_OUT_USER_SHARE = 0.10


def is_held_out_item(item_id: str) -> bool:
    """Whether the adapter's training must leave this item out (a fifth of all items).

    >>> sum(is_held_out_item(f"item-{number}") for number in range(1000))
    195
    """
    return _share("item", item_id) < HELD_OUT_ITEM_SHARE


def is_held_out_user(user_id: str) -> bool:
    """Whether the preference model's training must leave this user (keyed hash) out (a tenth of all users).

    >>> sum(is_held_out_user(f"user-{number}") for number in range(1000))
    104
    """
    return _share("user", user_id) < HELD_OUT_USER_SHARE


def _share(kind: str, name: str) -> float:
    digest = hashlib.sha256(f"held-out/{kind}/{name}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
