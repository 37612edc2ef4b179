"""What can be wrong with a proof of data possession: in Python and, under the same names, on the chain."""

# ruff: noqa: N818 - the names are Solidity's

from __future__ import annotations

from dataclasses import dataclass

from chain.errors.base import ChainError
from chain.errors.reverts import ContractRevertError


class PDPError(ContractRevertError):
    """A proof that is none, whoever found it out: `chain.pdp.verification`, or the verifier's contract."""


@dataclass(eq=False)
class PDPLength(PDPError, types="uint256,uint256", says="proof: expected {expected} bytes, got {actual}"):
    """Check 1: another length."""

    expected: int
    actual: int


@dataclass(eq=False)
class PDPRange(PDPError, types="", says="proof: expected group elements above 0 and below the modulus, got others"):
    """Check 2: 0 and N satisfy equations that nothing else does."""


@dataclass(eq=False)
class PDPNotPrime(
    PDPError, types="", says="proof: its transcript gives no prime: it is of another challenge, or of other bytes"
):
    """Check 3: the challenge of the proof of exponentiation is no prime."""


@dataclass(eq=False)
class PDPResidue(PDPError, types="", says="proof: expected a residue below the prime of its transcript, got another"):
    """Check 4: a residue has one spelling."""


@dataclass(eq=False)
class PDPEquation(
    PDPError,
    types="",
    says="proof: its equation doesn't hold: bytes are missing or altered, or it is of another challenge",
):
    """Check 5: the equation."""


@dataclass(eq=False)
class PDPBadKey(
    PDPError,
    types="",
    says="key: expected an odd modulus of 2048 bits and an exponent of 44497, 132049 or 756839 bits, got another",
):
    """No key that can be used."""


class PDPClaim(ChainError):
    """Check 6: the claimed product isn't that of the challenged tags."""


class PDPDataError(ChainError):
    """Tags, keys or blocks that aren't what they should be, before any proof is made."""


class PDPTagsError(PDPDataError):
    """Tags that fail the acceptance test: they aren't of these bytes, this version or this key."""
