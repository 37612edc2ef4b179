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
