"""What a holder is asked: a seed that nobody chose, spread over blocks and coefficients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eth_hash.auto import keccak

from chain.pdp.words import DOMAINS, Word, tagged
from twins.types import Address

MAX_SIZE = 1024


@dataclass(frozen=True)
class Challenge:
    """What one holder is asked about one artifact in one slot.

    Attributes:
        tau: domain of the tags, 32 bytes: it stands for chain, contract, twin, version, manifest, key and content.
        sigma: seed of this holder's indices and coefficients, 32 bytes.
        blocks: n, of the artifact.
        size: c, how many blocks are asked for: all of them if there are no more.
    """

    tau: bytes
    sigma: bytes
    blocks: int
    size: int

    @classmethod
    def of(cls, seed: bytes, tau: bytes, holder: Address, *, blocks: int, size: int) -> Challenge:
        """Derive the challenge of a slot.

        The holder is in it, so that nobody can hand in another's proof as its own.

        Args:
            seed: of the slot, 32 bytes.
            tau: domain of the tags.
            holder: who is asked.
            blocks: of the artifact.
            size: by the twin's policy, 1 to 1024.
        """
        return cls(tau, tagged("challenge", seed, tau, holder, size), blocks, size)

    def indices(self) -> Iterator[tuple[int, int]]:
        """Yield (block, coefficient): every block once if there are no more than were asked for, else drawn."""
        for draw in range(min(self.size, self.blocks)):
            number = int.from_bytes(keccak(self.sigma + draw.to_bytes(32, "big")), "big")
            index = draw if self.blocks <= self.size else (number >> 128) % self.blocks
            yield index, number % (1 << 32) or 1

    def witnesses(self, count: int) -> list[int]:
        """Return the blocks that a watcher asks for, with inclusion proofs: a forged proof without data has none."""
        drawn = (tagged("witness", self.sigma, draw) for draw in range(count))
        return [int.from_bytes(number, "big") % self.blocks for number in drawn]


def batch_transcript(challenges: Sequence[Challenge]) -> bytes:
    """Return what takes sigma's place when several twins of a holder are proven at once, 32 bytes."""
    return keccak(DOMAINS["batch"] + b"".join(challenge.sigma for challenge in challenges))


def claim_digest(transcript: bytes, claimed: bytes) -> bytes:
    """Return what a holder signs of a claimed proof, 32 bytes (raw secp256k1, no prefix).

    A claim can be made from nothing: unsigned, a stranger could fill a holder's place with a false one.
    """
    return tagged("claim", transcript, keccak(claimed))


def quorum_digest(chain_id: int, contract: Address, slot: int, twin: Word, sigma: bytes, proof_hash: bytes) -> bytes:
    """Return what a station signs of a proof that it has verified, 32 bytes (raw secp256k1, no prefix)."""
    return tagged("quorum", chain_id, contract, slot, twin, sigma, proof_hash)
