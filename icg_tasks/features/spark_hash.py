"""Spark's own hash of texts, in numpy: which bucket a user falls into, decided where the rows are read.

Equal to ``pmod(hash(column), buckets)``, which is what ``repartition(buckets, column)`` does, so data sets that were bucketed
by Spark and by this lie side by side. Knows Arrow arrays; no data set. Legend: N texts, W four-byte words.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_SEED = 42
_CHUNK = 200_000

Words = NDArray[np.uint32]


def bucket_of(texts: pa.StringArray, num_buckets: int) -> NDArray[np.int32]:
    """The bucket [N] of each text (none null), from 0 to ``num_buckets`` - 1.

    >>> bucket_of(pa.array(["user000", "user001", "ü"]), 7).tolist()
    [1, 5, 1]
    """
    hashes = [_hashes(texts.slice(start, _CHUNK)) for start in range(0, len(texts), _CHUNK)]
    whole = np.concatenate(hashes) if hashes else np.zeros(0, dtype=np.int32)
    return np.mod(whole, np.int32(num_buckets), dtype=np.int32)


def _hashes(texts: pa.StringArray) -> NDArray[np.int32]:
    """Murmur3 as in org.apache.spark.unsafe.hash.Murmur3_x86_32.hashUnsafeBytes: whole words, then single signed bytes."""
    starts_N, lengths_N, data = _bytes(texts)
    hash_N = np.full(len(texts), _SEED, dtype=np.uint32)
    padded = np.concatenate([data, np.zeros(4, dtype=np.uint8)])
    for place in range(int(lengths_N.max(initial=0)) // 4):
        here = np.flatnonzero(lengths_N >= 4 * place + 4)
        hash_N[here] = _mixed(hash_N[here], _words(padded, starts_N[here] + 4 * place))
    for tail in range(3):
        here = np.flatnonzero(lengths_N % 4 > tail)
        at = starts_N[here] + lengths_N[here] // 4 * 4 + tail
        hash_N[here] = _mixed(hash_N[here], padded[at].view(np.int8).astype(np.int32).view(np.uint32))
    return _finished(hash_N, lengths_N.astype(np.uint32)).view(np.int32)


def _bytes(texts: pa.StringArray) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    values = texts.buffers()[2]
    data = np.frombuffer(values, dtype=np.uint8) if values is not None else np.zeros(0, dtype=np.uint8)
    return offsets[:-1] - offsets[0], np.diff(offsets), data[offsets[0] : offsets[-1]]


def _words(data: NDArray[np.uint8], at: NDArray[np.int64]) -> Words:
    """Little-endian four-byte words that begin at these places."""
    if len(at) and (at % 4 == 0).all():
        whole: Words = data[: len(data) // 4 * 4].view(np.uint32)
        return np.asarray(whole[at // 4], dtype=np.uint32)
    parts = [data[at + place].astype(np.uint32) << np.uint32(8 * place) for place in range(4)]
    return np.asarray(parts[0] | parts[1] | parts[2] | parts[3], dtype=np.uint32)


def _mixed(hash_N: Words, word_N: Words) -> Words:
    word_N = word_N * np.uint32(0xCC9E2D51)
    word_N = _turned(word_N, 15) * np.uint32(0x1B873593)
    return np.asarray(_turned(hash_N ^ word_N, 13) * np.uint32(5) + np.uint32(0xE6546B64), dtype=np.uint32)


def _finished(hash_N: Words, length_N: Words) -> Words:
    hash_N = hash_N ^ length_N
    hash_N = (hash_N ^ (hash_N >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hash_N = (hash_N ^ (hash_N >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return np.asarray(hash_N ^ (hash_N >> np.uint32(16)), dtype=np.uint32)


def _turned(word_N: Words, bits: int) -> Words:
    return np.asarray((word_N << np.uint32(bits)) | (word_N >> np.uint32(32 - bits)), dtype=np.uint32)
