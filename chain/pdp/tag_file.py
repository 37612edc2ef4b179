"""What tags belong to, and the file that they are in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from chain.errors.pdp import PDPTagsError
from chain.pdp.sources import BytesSource, Source, count_blocks
from chain.pdp.words import MODULUS_BYTES, Word, tagged
from twins.types import Address, Digest

MAGIC = b"TPT1"
HEADER_BYTES = 72


@dataclass(frozen=True)
class TagDomain:
    """What tags belong to. Each tag has all of it in it, so none is of any use elsewhere.

    Attributes:
        chain_id: EIP-155.
        contract: the SyncAudit.
        twin: whose artifact.
        version: round of the model.
        manifest: head of the twin for that version.
        key_id: of the tagger's key.
        root: tree hash over the blocks (RFC 6962): two contents never share a domain (docs/protocol-pdp.md, A4 and A5).
        length: bytes of the artifact.
        block: bytes of a block.
    """

    chain_id: int
    contract: Address
    twin: Word
    version: int
    manifest: Word
    key_id: Word
    root: bytes
    length: int
    block: int

    @cached_property
    def tau(self) -> bytes:
        """The domain as 32 bytes."""
        return tagged(
            "tag",
            self.chain_id,
            self.contract,
            self.twin,
            self.version,
            self.manifest,
            self.key_id,
            self.root,
            self.length,
            self.block,
        )

    @property
    def blocks(self) -> int:
        """How many."""
        return count_blocks(self.length, self.block)


class Tags:
    """A file of tags: ``TPT1``, domain, key, number of blocks, then 256 bytes for each.

    Attributes:
        tau: their domain, 32 bytes.
        key_id: the key that they were made under.
        blocks: how many.
    """

    def __init__(self, source: Source) -> None:
        """Read the header; the tags are read when they are asked for.

        Raises:
            PDPTagsError: no file of tags, or one of another length than it says.
        """
        header = source.read(0, HEADER_BYTES)
        if len(header) != HEADER_BYTES or header[:4] != MAGIC:
            raise PDPTagsError(f"tags: expected a file that begins with {MAGIC!r}, got {bytes(header[:4])!r}")
        self.tau = header[4:36]
        self.key_id = Digest("0x" + header[36:68].hex())
        self.blocks = int.from_bytes(header[68:72], "big")
        expected = HEADER_BYTES + MODULUS_BYTES * self.blocks
        if source.length != expected:
            raise PDPTagsError(f"tags of {self.blocks} blocks: expected {expected} bytes, got {source.length}")
        self._source = source

    @classmethod
    def from_bytes(cls, data: bytes) -> Tags:
        """Read tags from memory: ``from_bytes(t.to_bytes()).to_bytes() == t.to_bytes()``."""
        return cls(BytesSource(data))

    def to_bytes(self) -> bytes:
        """Return the file."""
        return self._source.read(0, self._source.length)

    def __getitem__(self, index: int) -> int:
        """Return one tag."""
        if not 0 <= index < self.blocks:
            raise IndexError(f"tag {index}: expected one below {self.blocks}")
        return int.from_bytes(self._source.read(HEADER_BYTES + MODULUS_BYTES * index, MODULUS_BYTES), "big")

    @property
    def digest(self) -> Digest:
        """SHA-256 of the file."""
        return Digest("0x" + hashlib.sha256(self.to_bytes()).hexdigest())
