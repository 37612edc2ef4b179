"""The RoundLedger's custom errors (`IRoundLedger`) about disputes, proofs and challenges."""

# ruff: noqa: N818 - the names are Solidity's

from __future__ import annotations

from dataclasses import dataclass

from chain.errors.ledger import RoundLedgerError
from twins.types import Address, Digest, TwinId


@dataclass(eq=False)
class RoundLedgerNoUpdate(
    RoundLedgerError,
    types="bytes32,uint32,address",
    says="station {station} has no update that counts in round {round} of twin {twin}",
):
    """Nothing to accuse it of."""

    twin: TwinId
    round: int
    station: Address


@dataclass(eq=False)
class RoundLedgerAlreadyDisputed(
    RoundLedgerError,
    types="bytes32,uint32,address,address",
    says="round {round} of twin {twin}: {accuser} already accuses the update of {station}",
):
    """One voice per elector."""

    twin: TwinId
    round: int
    station: Address
    accuser: Address


@dataclass(eq=False)
class RoundLedgerAlreadyRejected(
    RoundLedgerError,
    types="bytes32,uint32,address",
    says="round {round} of twin {twin}: the update of {station} is rejected already",
):
    """Rejected once is enough."""

    twin: TwinId
    round: int
    station: Address


@dataclass(eq=False)
class RoundLedgerUnknownCommitment(
    RoundLedgerError,
    types="bytes32,uint32,address",
    says="not what the ledger committed to for round {round} of twin {twin} and station {station}",
):
    """An update that was never counted, or not with this content."""

    twin: TwinId
    round: int
    station: Address


@dataclass(eq=False)
class RoundLedgerCommitmentGone(
    RoundLedgerError,
    types="bytes32,uint32,uint32",
    says="twin {twin}: commitments are kept from round {oldest} on, got round {round}",
):
    """Its slot belongs to a newer round."""

    twin: TwinId
    round: int
    oldest: int


@dataclass(eq=False)
class RoundLedgerBadProof(
    RoundLedgerError, types="bytes32,bytes32", says="expected a proof that leaf {leaf} is under root {root}, got none"
):
    """The leaf isn't under the root, or the proof is another's."""

    root: Digest
    leaf: Digest


@dataclass(eq=False)
class RoundLedgerHonestContribution(
    RoundLedgerError,
    types="address,bytes32",
    says="contribution {digest} is signed by its device {device}: there is no forgery",
):
    """A false accusation."""

    device: Address
    digest: Digest


@dataclass(eq=False)
class RoundLedgerNoDoubleCount(
    RoundLedgerError,
    types="address,address",
    says="expected two different contributions of one device to one round of one twin, got {device_a} and {device_b}",
):
    """Two devices, or the same contribution twice, or two rounds."""

    device_a: Address
    device_b: Address


@dataclass(eq=False)
class RoundLedgerChallengeExists(
    RoundLedgerError, types="bytes32,bytes32", says="leaf {leaf} under root {root} is challenged already"
):
    """A second challenge would give it more time."""

    root: Digest
    leaf: Digest


@dataclass(eq=False)
class RoundLedgerNoChallenge(
    RoundLedgerError, types="bytes32,bytes32", says="nobody challenges leaf {leaf} under root {root}"
):
    """Never made, answered, or settled."""

    root: Digest
    leaf: Digest


@dataclass(eq=False)
class RoundLedgerChallengeOpen(
    RoundLedgerError, types="uint32", says="the challenge can be answered until {answer_until} (Unix)"
):
    """Too early to settle."""

    answer_until: int
