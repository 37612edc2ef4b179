"""Where a prover reads an artifact's bytes: a part at a time, so that its size needs no memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from chain.errors.pdp import PDPDataError


class Source(Protocol):
    """Bytes of a known length."""

    @property
    def length(self) -> int:
        """How many."""

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset``; fewer only where the artifact ends."""


class BytesSource:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        """Read these bytes."""
        self._data = data

    @property
    def length(self) -> int:
        """How many bytes."""
        return len(self._data)

    def read(self, offset: int, size: int) -> bytes:
        """Return a part of them."""
        return self._data[offset : offset + size]


class FileSource:
    """A file, opened for each reading: nothing is kept open between two slots."""

    def __init__(self, path: Path) -> None:
        """Read this file; its length is that of now.

        Raises:
            OSError: no such file.
        """
        self._path = path
        self._length = path.stat().st_size

    @property
    def length(self) -> int:
        """How many bytes."""
        return self._length

    def read(self, offset: int, size: int) -> bytes:
        """Return a part of them."""
        with self._path.open("rb") as file:
            file.seek(offset)
            return file.read(size)


def count_blocks(length: int, block: int) -> int:
    """Return the number of blocks; an artifact of no bytes can't be proven."""
    if not 1 <= length <= (2**32 - 1) * block:
        raise PDPDataError(f"artifact: expected 1 to {(2**32 - 1) * block} bytes, got {length}")
    return -(-length // block)


def read_block(source: Source, index: int, block: int) -> bytes:
    """Return block ``index``, shorter only if it is the last.

    Raises:
        PDPDataError: the source has fewer bytes there than its length says.
    """
    offset = index * block
    expected = min(block, source.length - offset)
    data = source.read(offset, expected)
    if len(data) != expected:
        raise PDPDataError(f"block {index}: expected {expected} bytes at {offset}, got {len(data)}")
    return data


def read_blocks(source: Source, block: int) -> Iterator[bytes]:
    """Yield all blocks in their order, read by the megabyte."""
    count = count_blocks(source.length, block)
    step = max(1, (1 << 20) // block)
    for first in range(0, count, step):
        size = min(step * block, source.length - first * block)
        data = source.read(first * block, size)
        if len(data) != size:
            raise PDPDataError(f"block {first}: expected {size} bytes, got {len(data)}")
        yield from (data[at : at + block] for at in range(0, size, block))


def block_number(data: bytes, block: int) -> int:
    """Return a block as a number: padded with zero bytes on the right, big-endian.

    The padding is unambiguous, for the length is part of the tags' domain.
    """
    return int.from_bytes(data, "big") << 8 * (block - len(data))


def merkle_root(source: Source, block: int) -> bytes:
    """Return the tree hash of RFC 6962, section 2.1, over the unpadded blocks, in memory for one path.

    It has no trapdoor: what is proven with a forged tag fails an inclusion proof against it.
    """
    return merkle_root_of(read_blocks(source, block))


def merkle_root_of(leaves: Iterator[bytes]) -> bytes:
    """Return the tree hash of RFC 6962, section 2.1, over at least one leaf."""
    stack: list[tuple[int, bytes]] = []  # complete subtrees from left to right: (height, hash), heights descending
    for leaf in leaves:
        height, digest = 0, hashlib.sha256(b"\0" + leaf).digest()
        while stack and stack[-1][0] == height:
            digest = _node(stack.pop()[1], digest)
            height += 1
        stack.append((height, digest))
    if not stack:
        raise PDPDataError("tree hash: expected at least one block, got none")
    digest = stack.pop()[1]
    while stack:
        digest = _node(stack.pop()[1], digest)
    return digest


def inclusion_proof(source: Source, block: int, index: int) -> tuple[bytes, ...]:
    """Return the audit path of a block (RFC 6962, section 2.1.1), from the leaf's sibling up."""
    leaves = [hashlib.sha256(b"\0" + data).digest() for data in read_blocks(source, block)]
    return _path(leaves, index)


def verify_inclusion(root: bytes, leaf: bytes, index: int, count: int, path: tuple[bytes, ...]) -> bool:
    """Tell whether a block's bytes are at ``index`` of ``count`` under a root (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < count:
        return False
    digest, last, rest = hashlib.sha256(b"\0" + leaf).digest(), count - 1, index
    for sibling in path:
        if last == 0:
            return False
        if rest & 1 or rest == last:
            digest = _node(sibling, digest)
            while not rest & 1 and rest:
                rest >>= 1
                last >>= 1
        else:
            digest = _node(digest, sibling)
        rest >>= 1
        last >>= 1
    return last == 0 and digest == root


def _path(leaves: list[bytes], index: int) -> tuple[bytes, ...]:
    if len(leaves) == 1:
        return ()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return (*_path(leaves[:split], index), _tree(leaves[split:]))
    return (*_path(leaves[split:], index - split), _tree(leaves[:split]))


def _tree(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return _node(_tree(leaves[:split]), _tree(leaves[split:]))


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
