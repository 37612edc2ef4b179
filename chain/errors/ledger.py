"""The RoundLedger's custom errors (`IRoundLedger`) about rounds, updates and votes."""

# ruff: noqa: N818 - the names are Solidity's

from __future__ import annotations

from dataclasses import dataclass

from chain.errors.reverts import ContractRevertError
from chain.values import RoundStatus
from twins.types import Address, Digest, TwinId


class RoundLedgerError(ContractRevertError):
    """The ledger refused."""


@dataclass(eq=False)
class RoundLedgerZeroValue(RoundLedgerError, types="", says="an argument that must not be zero is zero"):
    """Zero where a value is needed."""


@dataclass(eq=False)
class RoundLedgerNotTwinOwner(
    RoundLedgerError, types="bytes32,address", says="account {account} is not the owner of twin {twin}"
):
    """A stranger."""

    twin: TwinId
    account: Address


@dataclass(eq=False)
class RoundLedgerGenesisExists(
    RoundLedgerError, types="bytes32", says="twin {twin} has its genesis already; it is set once"
):
    """A second genesis would rewrite the past."""

    twin: TwinId


@dataclass(eq=False)
class RoundLedgerNoGenesis(
    RoundLedgerError, types="bytes32", says="twin {twin} has no genesis; its owner sets it first"
):
    """No model to train from."""

    twin: TwinId


@dataclass(eq=False)
class RoundLedgerUnexpectedRound(
    RoundLedgerError,
    types="bytes32,uint32,uint32",
    says="twin {twin}: expected round {expected}, got {actual}",
):
    """Round numbers go up by one."""

    twin: TwinId
    expected: int
    actual: int


@dataclass(eq=False)
class RoundLedgerRoundOpen(RoundLedgerError, types="bytes32,uint32", says="round {round} of twin {twin} is still open"):
    """One open round per twin."""

    twin: TwinId
    round: int


@dataclass(eq=False)
class RoundLedgerNotTurn(
    RoundLedgerError,
    types="bytes32,uint32,uint8,uint32",
    says="round {round} of twin {twin}: until {until} (Unix) only station number {turn} opens it",
):
    """No station alone decides when rounds begin."""

    twin: TwinId
    round: int
    turn: int
    until: int


@dataclass(eq=False)
class RoundLedgerUnexpectedStatus(
    RoundLedgerError,
    types="bytes32,uint32,uint8",
    says="round {round} of twin {twin} is {current}, where this can't be done",
):
    """Too early or too late in the round."""

    twin: TwinId
    round: int
    current: RoundStatus

    def __post_init__(self) -> None:
        """Take the ABI's number, too."""
        self.current = RoundStatus(self.current)


@dataclass(eq=False)
class RoundLedgerWindowTooShort(
    RoundLedgerError,
    types="bytes32,uint24,uint24",
    says="twin {twin}: expected windows of at least {min_submit_for} s for updates and {min_attest_for} s for votes",
):
    """Windows so short that others could not take part."""

    twin: TwinId
    min_submit_for: int
    min_attest_for: int


@dataclass(eq=False)
class RoundLedgerBadMinUpdates(
    RoundLedgerError,
    types="bytes32,uint8,uint8,uint8",
    says="twin {twin}: expected {least} to {most} as the least number of updates, got {actual}",
):
    """Fewer than the twin's policy, or more than there are stations."""

    twin: TwinId
    least: int
    most: int
    actual: int


@dataclass(eq=False)
class RoundLedgerNotElector(
    RoundLedgerError,
    types="bytes32,uint32,address",
    says="station {station} is no elector of round {round} of twin {twin}: it came later, or isn't a producer",
):
    """A station that was added in mid-round has no vote."""

    twin: TwinId
    round: int
    station: Address


@dataclass(eq=False)
class RoundLedgerAlreadySubmitted(
    RoundLedgerError,
    types="bytes32,uint32,address",
    says="station {station} has already submitted for round {round} of twin {twin}",
):
    """One update per station and round."""

    twin: TwinId
    round: int
    station: Address


@dataclass(eq=False)
class RoundLedgerUnexpectedBase(
    RoundLedgerError,
    types="bytes32,uint32,bytes32,bytes32",
    says="twin {twin}: expected {expected} as the model of round {base_round}, got {actual}",
):
    """Rollback, or an unknown or future base."""

    twin: TwinId
    base_round: int
    expected: Digest
    actual: Digest


@dataclass(eq=False)
class RoundLedgerUnexpectedTraining(
    RoundLedgerError,
    types="bytes32,uint32,uint32,uint32",
    says="twin {twin}: expected training after base round {base_round} and up to round {round}, got {trained_round}",
):
    """Devices train after their base and no later than the round in which they count."""

    twin: TwinId
    base_round: int
    trained_round: int
    round: int


@dataclass(eq=False)
class RoundLedgerAlreadyAttested(
    RoundLedgerError,
    types="bytes32,uint32,address",
    says="station {station} has already attested in round {round} of twin {twin}",
):
    """A second vote; a moved one names the model that it replaces."""

    twin: TwinId
    round: int
    station: Address


@dataclass(eq=False)
class RoundLedgerUnexpectedVote(
    RoundLedgerError,
    types="bytes32,uint32,address,bytes32",
    says="round {round} of twin {twin}: station {station} does not vote for {replaced} now, so it can't move that vote",
):
    """``replaced`` is not the station's present vote."""

    twin: TwinId
    round: int
    station: Address
    replaced: Digest


@dataclass(eq=False)
class RoundLedgerNoQuorum(
    RoundLedgerError,
    types="bytes32,uint32,uint8,uint8",
    says="round {round} of twin {twin}: expected {quorum} votes or signatures for one model, got {actual}",
):
    """Too few for a final model."""

    twin: TwinId
    round: int
    quorum: int
    actual: int


@dataclass(eq=False)
class RoundLedgerUnsortedSigners(
    RoundLedgerError,
    types="address,address",
    says="signers: expected them strictly ascending by address, got {signer} after {previous}",
):
    """The order stops a signature from counting twice."""

    previous: Address
    signer: Address


@dataclass(eq=False)
class RoundLedgerBadSignature(
    RoundLedgerError, types="address,address", says="expected a signature of {expected}, got one that gives {actual}"
):
    """Of another account, over another statement, or malleated."""

    expected: Address
    actual: Address
