"""The bodies of the soak: made from a length and a seed, the same in every process."""

import functools
import hashlib
import random

POOL = random.Random(20261122).randbytes(4 * 1024 * 1024)
SEEDS = 16


def content(length, seed):
    """A body of that length; seeds differ in every byte, as good as."""
    start = (seed % SEEDS) * 104_729
    return POOL[start:start + length]


@functools.lru_cache(maxsize=4096)
def digest(length, seed):
    return hashlib.sha256(content(length, seed)).hexdigest()
