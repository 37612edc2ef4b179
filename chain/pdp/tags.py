"""Tags: what a tagger makes of an artifact's blocks, so that a holder can prove that it still has them.

Tags are over the stored bytes: encrypt first, then tag, or proofs would disclose what is encrypted.
"""

from __future__ import annotations

import multiprocessing
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice

import gmpy2
from gmpy2 import mpz

from chain.errors.pdp import PDPDataError, PDPTagsError
from chain.pdp.keys import PrivateKey, PublicKey
from chain.pdp.products import product_of_powers
from chain.pdp.sources import Source, block_number, read_blocks
from chain.pdp.tag_file import HEADER_BYTES as HEADER_BYTES
from chain.pdp.tag_file import MAGIC
from chain.pdp.tag_file import TagDomain as TagDomain
from chain.pdp.tag_file import Tags as Tags
from chain.pdp.words import element, full_domain_hash, word

Progress = Callable[[int], None]
"""Told how many more blocks are done."""

_AT_ONCE = 1024
"""Tags that are tested together: more need memory, and hardly less time."""


def make_tags(
    source: Source, key: PrivateKey, domain: TagDomain, *, workers: int | None = None, progress: Progress | None = None
) -> Tags:
    """Tag an artifact, a megabyte at a time, and test the tags: `16 KiB` blocks at some 15 MB/s and core.

    Args:
        source: the stored bytes.
        key: the tagger's.
        domain: of this artifact, version and key.
        workers: processes; as many as there are cores for large artifacts if None.
        progress: told as blocks are done.

    Raises:
        PDPDataError: the domain is of another length, block or key.
        PDPTagsError: the tags came out wrong: a fault of this machine. They are not returned, for a single wrong tag
            can give the key away (Boneh, DeMillo and Lipton, EUROCRYPT 1997).
    """
    if (domain.length, domain.block, domain.key_id) != (source.length, key.public.block, key.public.key_id):
        raise PDPDataError(
            f"tag domain: expected {source.length} bytes in blocks of {key.public.block} under {key.public.key_id}, "
            f"got {domain.length} in {domain.block} under {domain.key_id!r}"
        )
    made = b"".join(_tag_all(source, key, domain, workers, progress or (lambda blocks: None)))
    header = MAGIC + domain.tau + word(domain.key_id) + domain.blocks.to_bytes(4, "big")
    tags = Tags.from_bytes(header + made)
    _accept(source, tags, key.public, order=key.order)
    return tags


def check_tags(source: Source, tags: Tags, key: PublicKey, domain: TagDomain) -> None:
    """Test tags before serving under them: all at once, by one random combination, in about the time of a proof.

    Args:
        source: the stored bytes.
        tags: as published.
        key: as registered on the chain.
        domain: made of what the chain and the manifest say, and the root of these very bytes.

    Raises:
        PDPTagsError: they are of other bytes, another domain or another key. Nothing can be proven with them.
    """
    found = (tags.tau, tags.key_id, tags.blocks)
    if found != (domain.tau, key.key_id, domain.blocks):
        raise PDPTagsError(
            f"tags: expected domain {domain.tau.hex()} of {domain.blocks} blocks under {key.key_id}, "
            f"got {tags.tau.hex()} of {tags.blocks} under {tags.key_id}"
        )
    _accept(source, tags, key)


def _accept(source: Source, tags: Tags, key: PublicKey, order: mpz | None = None) -> None:
    """Check (∏ T_i^r_i)^e = ± ∏ h_i^r_i · g^(Σ r_i m_i) for random r_i; the tagger (`order`) demands the sign +."""
    n = mpz(key.modulus)
    product, hashes, total = mpz(1), mpz(1), mpz(0)
    numbered = enumerate(read_blocks(source, key.block))
    while True:
        chosen, hashed, weights = [], [], []
        for index, block in islice(numbered, _AT_ONCE):
            tag = tags[index]
            if not 0 < tag < n:
                raise PDPTagsError(f"tag {index}: expected a number above 0 and below the modulus, got another")
            chosen.append(mpz(tag))
            hashed.append(mpz(full_domain_hash(tags.tau, index)))
            weights.append(secrets.randbits(64))
            total += weights[-1] * block_number(block, key.block)
        if not weights:
            break
        product = product * product_of_powers(chosen, weights, n) % n
        hashes = hashes * product_of_powers(hashed, weights, n) % n
    exponent = key.exponent if order is None else key.exponent % order
    left = gmpy2.powmod(product, exponent, n)
    right = hashes * gmpy2.powmod(key.generator, total if order is None else total % order, n) % n
    if left != right and (order is not None or left != n - right):
        raise PDPTagsError(f"tags of {tags.blocks} blocks: expected them to be of these bytes, got tags of others")


# -- making them ----------------------------------------------------------------------------------------------

_WINDOW = 6  # bits
_FEW = 8  # blocks for which the tables of powers aren't worth making


class _Half:
    """Tagging modulo one prime factor: g^d in a table of powers, so that a block costs multiplications alone."""

    def __init__(self, key: PrivateKey, factor: int, with_table: bool) -> None:
        self.factor = mpz(factor)
        self.order = self.factor - 1
        self.inverse = key.inverse_exponent(self.order)
        self.base = gmpy2.powmod(key.public.generator % self.factor, self.inverse, self.factor)
        self.table = self._powers() if with_table else []

    def _powers(self) -> list[list[mpz]]:
        table, base = [], self.base
        for _ in range(-(-self.factor.bit_length() // _WINDOW)):
            row = [mpz(1)]
            for _ in range((1 << _WINDOW) - 1):
                row.append(row[-1] * base % self.factor)
            table.append(row)
            base = row[-1] * base % self.factor
        return table

    def tag(self, hashed: mpz, number: mpz) -> mpz:
        """Return (h · g^m)^d."""
        exponent = number % self.order
        if not self.table:
            power = gmpy2.powmod_sec(self.base, exponent, self.factor) if exponent else mpz(1)
        else:
            power = mpz(1)
            for row in self.table:
                power = power * row[int(exponent) & 63] % self.factor
                exponent >>= _WINDOW
        return gmpy2.powmod_sec(hashed % self.factor, self.inverse, self.factor) * power % self.factor


class _Tagger:
    def __init__(self, key: PrivateKey, tau: bytes, with_table: bool) -> None:
        self.tau, self.block = tau, key.public.block
        self.p, self.q = (_Half(key, factor, with_table) for factor in (key.p, key.q))
        self.q_inverse = gmpy2.invert(self.q.factor, self.p.factor)

    def tag(self, first: int, data: bytes) -> bytes:
        """Return the tags of consecutive blocks, the first of them at index ``first``."""
        tags = []
        for at in range(0, len(data), self.block):
            hashed = mpz(full_domain_hash(self.tau, first + at // self.block))
            number = mpz(block_number(data[at : at + self.block], self.block))
            of_p, of_q = self.p.tag(hashed, number), self.q.tag(hashed, number)
            tags.append(element(int(of_q + self.q.factor * ((of_p - of_q) * self.q_inverse % self.p.factor))))
        return b"".join(tags)


_worker: _Tagger | None = None  # of a worker process: its tables are made once


def _start(key: PrivateKey, tau: bytes) -> None:
    global _worker
    _worker = _Tagger(key, tau, with_table=True)


def _work(first: int, data: bytes) -> bytes:
    if _worker is None:
        raise AssertionError("a worker without a key")
    return _worker.tag(first, data)


def _tag_all(
    source: Source, key: PrivateKey, domain: TagDomain, workers: int | None, progress: Progress
) -> Iterator[bytes]:
    step = max(1, (1 << 20) // domain.block)
    parts = ((first, _read(source, first, step, domain.block)) for first in range(0, domain.blocks, step))
    if workers is None:
        # Below some seconds of work the processes' start costs more than they spare.
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = workers if domain.blocks >= 8 * step else 1
    if workers == 1:
        tagger = _Tagger(key, domain.tau, with_table=domain.blocks > _FEW)
        for first, data in parts:
            yield tagger.tag(first, data)
            progress(-(-len(data) // domain.block))
        return
    # Not forked: the parent may have threads, whose locks a fork would copy as they are.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (key, domain.tau)) as pool:
        waiting: deque[tuple[Future[bytes], int]] = deque()
        try:
            for first, data in parts:
                waiting.append((pool.submit(_work, first, data), -(-len(data) // domain.block)))
                if len(waiting) > 2 * workers:  # so many megabytes are in memory, and no more
                    yield from _finish(waiting, progress)
            while waiting:
                yield from _finish(waiting, progress)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _finish(waiting: deque[tuple[Future[bytes], int]], progress: Progress) -> Iterator[bytes]:
    future, blocks = waiting.popleft()
    yield future.result()
    progress(blocks)


def _read(source: Source, first: int, count: int, block: int) -> bytes:
    size = min(count * block, source.length - first * block)
    data = source.read(first * block, size)
    if len(data) != size:
        raise PDPDataError(f"block {first}: expected {size} bytes, got {len(data)}")
    return data
