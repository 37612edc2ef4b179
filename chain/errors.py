"""Everything that can go wrong between this program and the chain.

::

    ChainError
    ├── ChainUnreachableError   (url)                no answer: no node, or the network
    ├── WrongChainError         (expected, actual)   another chain id
    ├── RpcError                (code, message)      the node answered, with an error that is no revert
    ├── EncodingError           a value that doesn't fit its Solidity type, bytes that aren't what the ABI
    says ├── DeploymentError         not the contracts that the deployment file names
    ├── CompilerError           no compiler, or sources that don't compile
    ├── DevnetError             the local node
    ├── RecordError             what is on the chain isn't what this participant can follow
    ├── TransactionError        (hash)
    │   ├── TransactionTimeoutError   not mined in time: it may still be
    │   └── TransactionFailedError    mined and reverted, without a reason that a replay could find
    └── ContractRevertError     (selector, data)
        ├── TwinRegistryError         with one class per custom error of the registry …
        ├── RoundLedgerError          … and of the ledger
        ├── AccessControlUnauthorizedAccount (account, needed_role)
        ├── AccessControlBadConfirmation
        ├── RevertReasonError         (reason)   ``require`` with a text, ``Error(string)``
        ├── PanicError                (code)     arithmetic overflow and the like, ``Panic(uint256)``
        └── UnknownRevertError        a revert that no contract of ours declares

A custom error's class has exactly its Solidity name, its arguments are typed attributes in snake case.
"""

# ruff: noqa: N818 - the names are Solidity's

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak

from chain.values import RoundStatus
from twins.types import Address, Digest, TwinId


class ChainError(Exception):
    """Root of all errors that `chain` raises."""


class ChainUnreachableError(ChainError):
    """No answer from the node.

    Attributes:
        url: of the node.
    """

    def __init__(self, url: str, reason: str) -> None:
        """Name the node and what the transport said."""
        super().__init__(f"no answer from the chain at {url}: {reason}; is a node running there?")
        self.url = url


class WrongChainError(ChainError):
    """The node serves another chain.

    Attributes:
        expected: chain id.
        actual: chain id.
    """

    def __init__(self, url: str, expected: int, actual: int) -> None:
        """Name the node and both chain ids."""
        super().__init__(
            f"chain at {url}: expected chain id {expected}, got {actual}; use the node that you deployed to"
        )
        self.expected = expected
        self.actual = actual


class RpcError(ChainError):
    """The node answered with an error that is no revert.

    Attributes:
        code: JSON-RPC's.
        message: the node's.
    """

    def __init__(self, method: str, code: int, message: str) -> None:
        """Name the method, the node's code and message."""
        super().__init__(f"{method}: the node refused with code {code}: {message}")
        self.code = code
        self.message = message


class EncodingError(ChainError):
    """A value that doesn't fit its Solidity type, or bytes that aren't what the ABI says."""


class DeploymentError(ChainError):
    """The contracts on this chain aren't those that the deployment file names."""


class CompilerError(ChainError):
    """The Solidity compiler is missing, or the sources don't compile."""


class DevnetError(ChainError):
    """The local node can't be started, or doesn't live."""


class RecordError(ChainError):
    """What is on the chain isn't what this participant can follow."""


class TransactionError(ChainError):
    """Something is wrong with one transaction.

    Attributes:
        hash: of the transaction.
    """

    def __init__(self, transaction: str, message: str) -> None:
        """Say which transaction (``transaction``: its hash) and what about it."""
        super().__init__(f"transaction {transaction}: {message}")
        self.hash = transaction


class TransactionTimeoutError(TransactionError):
    """Sent, but not mined in time. It may still be: read the chain before you repeat the action."""

    def __init__(self, transaction: str, seconds: float) -> None:
        """Name the transaction and how long it was waited for."""
        super().__init__(transaction, f"not mined within {seconds:g} s; it still may be")


class TransactionFailedError(TransactionError):
    """Mined and reverted, and a replay found no reason."""

    def __init__(self, transaction: str, block: int) -> None:
        """Name the transaction and its block."""
        super().__init__(
            transaction, f"reverted in block {block}, and a replay on the state around it does not"
        )


class ContractRevertError(ChainError):
    """A contract refused.

    Subclasses are made by ``class Name(Family, types="bytes32,uint32", says="round {round} …")`` with
    one annotated field per argument; ``says`` is the message.
    """

    types: ClassVar[tuple[str, ...]] = ()
    says: ClassVar[str] = "the contract refused"
    selector: bytes = b""

    def __init_subclass__(
        cls, types: str | None = None, says: str = "", name: str = "", **options: Any
    ) -> None:
        """Compute the selector of the Solidity error, and list the class under it."""
        super().__init_subclass__(**options)
        if types is None:
            return
        cls.types = tuple(types.split(",")) if types else ()
        cls.says = says
        cls.selector = keccak(text=f"{name or cls.__name__}({types})")[:4]
        REVERTS[cls.selector] = cls

    @property
    def data(self) -> bytes:
        """The revert data: selector and encoded arguments."""
        values = (bytes.fromhex(a[2:]) if isinstance(a, str) and t == "bytes32" else a
                  for t, a in zip(self.types, self.args, strict=True))  # fmt: skip
        return self.selector + abi_encode(self.types, tuple(values))

    def __str__(self) -> str:
        """What happened, in words with values."""
        notes = "".join(f" ({note})" for note in getattr(self, "__notes__", ()))
        return self.says.format(**vars(self)) + notes


REVERTS: dict[bytes, type[ContractRevertError]] = {}
"""Selector to class, over all contracts: an error can bubble up from another contract."""


class UnknownRevertError(ContractRevertError):
    """A revert that no contract of ours declares.

    Another contract's, or one without data: wrong address, out of gas.

    Attributes:
        selector: first four bytes, or fewer.
    """

    def __init__(self, data: bytes) -> None:
        """Keep the raw revert data."""
        super().__init__(data)
        self.selector = data[:4]
        self._data = data

    @property
    def data(self) -> bytes:
        """The revert data."""
        return self._data

    def __str__(self) -> str:
        """Say what is known."""
        what = f"with unknown data 0x{self._data.hex()}" if self._data else "without a reason"
        return f"the contract refused {what}; is it the contract of this version?"


# -- Solidity's own -----------------------------------------------------------------------------------------


@dataclass(eq=False)
class RevertReasonError(
    ContractRevertError, types="string", name="Error", says="the contract refused: {reason}"
):
    """``revert("reason")``."""

    reason: str


@dataclass(eq=False)
class PanicError(
    ContractRevertError, types="uint256", name="Panic", says="the contract stopped with panic code {code:#x}"
):
    """Overflow (0x11), division by zero (0x12), bad index (0x32) and the like: a defect of the contract."""

    code: int


# -- OpenZeppelin AccessControl -----------------------------------------------------------------------------


@dataclass(eq=False)
class AccessControlUnauthorizedAccount(
    ContractRevertError,
    types="address,bytes32",
    says="account {account} lacks the role {needed_role}; ask the holder of its admin role to grant it",
):
    """The caller hasn't the role."""

    account: Address
    needed_role: Digest


@dataclass(eq=False)
class AccessControlBadConfirmation(
    ContractRevertError, types="", says="a role can be renounced only by its holder itself"
):
    """The confirmation of a renunciation names another account."""


# -- TwinRegistry -------------------------------------------------------------------------------------------


class TwinRegistryError(ContractRevertError):
    """The registry refused."""


@dataclass(eq=False)
class TwinRegistryZeroValue(TwinRegistryError, types="", says="an argument that must not be zero is zero"):
    """Zero where a value is needed."""


@dataclass(eq=False)
class TwinRegistryAlreadyRegistered(
    TwinRegistryError, types="address", says="station {station} is registered already"
):
    """Registered twice."""

    station: Address


@dataclass(eq=False)
class TwinRegistryUnknownStation(
    TwinRegistryError, types="address", says="account {account} is no registered station"
):
    """An outsider."""

    account: Address


@dataclass(eq=False)
class TwinRegistryFull(
    TwinRegistryError, types="uint8", says="the registry holds its maximum of {maximum} stations"
):
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


# -- RoundLedger --------------------------------------------------------------------------------------------


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
class RoundLedgerRoundOpen(
    RoundLedgerError, types="bytes32,uint32", says="round {round} of twin {twin} is still open"
):
    """One open round per twin."""

    twin: TwinId
    round: int


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
    says="twin {twin}: expected windows of at least {min_submit_for} s for updates and {min_attest_for} s "
    "for votes",
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
    says="station {station} is not of the electorate of round {round} of twin {twin}: "
    "it was registered later",
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
    says="round {round} of twin {twin}: station {station} does not vote for {replaced} now, "
    "so it can't move that vote",
):
    """``replaced`` is not the station's present vote."""

    twin: TwinId
    round: int
    station: Address
    replaced: Digest
