"""The TwinRegistry's custom errors (`ITwinRegistry`)."""

# ruff: noqa: N818 - the names are Solidity's

from __future__ import annotations

from dataclasses import dataclass

from chain.errors.reverts import ContractRevertError
from twins.types import Address, TwinId


class TwinRegistryError(ContractRevertError):
    """The registry refused."""


@dataclass(eq=False)
class TwinRegistryZeroValue(TwinRegistryError, types="", says="an argument that must not be zero is zero"):
    """Zero where a value is needed."""


@dataclass(eq=False)
class TwinRegistryAlreadyRegistered(TwinRegistryError, types="address", says="station {station} is registered already"):
    """Registered twice."""

    station: Address


@dataclass(eq=False)
class TwinRegistryUnknownStation(TwinRegistryError, types="address", says="account {account} is no registered station"):
    """An outsider."""

    account: Address


@dataclass(eq=False)
class TwinRegistrySuspended(
    TwinRegistryError, types="address", says="station {station} is suspended; only the registrar reinstates it"
):
    """A suspended station does nothing: no roster, no update, no vote, no round."""

    station: Address


@dataclass(eq=False)
class TwinRegistryNotSuspended(TwinRegistryError, types="address", says="station {station} is not suspended"):
    """Nothing to reinstate."""

    station: Address


@dataclass(eq=False)
class TwinRegistrySuspensionCap(
    TwinRegistryError,
    types="uint8",
    says="the guardian has suspended its {per_epoch} of this epoch; wait for the next, or let the stations vote",
):
    """More would let the guardian choose the quorum by itself."""

    per_epoch: int


@dataclass(eq=False)
class TwinRegistryAlreadyVoted(
    TwinRegistryError, types="address,address", says="{voter} has already voted to suspend station {station}"
):
    """One station can't suspend another by voting twice."""

    voter: Address
    station: Address


@dataclass(eq=False)
class TwinRegistryOwnSuspension(
    TwinRegistryError, types="address", says="station {station} has no vote in its own suspension"
):
    """The accused doesn't vote."""

    station: Address


@dataclass(eq=False)
class TwinRegistryTooEarly(
    TwinRegistryError, types="uint32", says="there is one election in an epoch; the next not before {not_before} (Unix)"
):
    """Elections at every moment would let a station choose the one that suits it."""

    not_before: int


@dataclass(eq=False)
class TwinRegistryBadSeats(
    TwinRegistryError, types="uint8,uint8,uint8", says="expected {least} to {most} seats, got {actual}"
):
    """Fewer producers than the deployment allows, or more than there are active stations."""

    least: int
    most: int
    actual: int


@dataclass(eq=False)
class TwinRegistryUnknownCandidates(
    TwinRegistryError, types="uint64", says="expected registered stations as candidates, got the bit set {candidates}"
):
    """Bits of no station."""

    candidates: int


@dataclass(eq=False)
class TwinRegistryFull(TwinRegistryError, types="uint8", says="the registry holds its maximum of {maximum} stations"):
    """Every set of stations is one 64-bit word."""

    maximum: int


@dataclass(eq=False)
class TwinRegistryTwinExists(TwinRegistryError, types="bytes32", says="twin {twin} exists already"):
    """Registered twice."""

    twin: TwinId


@dataclass(eq=False)
class TwinRegistryUnknownTwin(TwinRegistryError, types="bytes32", says="twin {twin} is not registered"):
    """No such twin."""

    twin: TwinId


@dataclass(eq=False)
class TwinRegistryNotTwinOwner(
    TwinRegistryError, types="bytes32,address", says="account {account} is not the owner of twin {twin}"
):
    """A stranger."""

    twin: TwinId
    account: Address


@dataclass(eq=False)
class TwinRegistryUnexpectedRevision(
    TwinRegistryError,
    types="bytes32,uint32,uint32",
    says="twin {twin}: expected revision {expected}, got {actual}; read the twin again",
):
    """Not the next revision."""

    twin: TwinId
    expected: int
    actual: int
