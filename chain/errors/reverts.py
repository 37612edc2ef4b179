"""Reverts: their base class, the table of selectors, and those that Solidity and OpenZeppelin declare."""

# ruff: noqa: N818 - the names are Solidity's

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak

from chain.errors.base import ChainError
from twins.types import Address, Digest


class ContractRevertError(ChainError):
    """A contract refused.

    Subclasses are made by ``class Name(Family, types="bytes32,uint32", says="round {round} …")`` with
    one annotated field per argument; ``says`` is the message.
    """

    types: ClassVar[tuple[str, ...]] = ()
    says: ClassVar[str] = "the contract refused"
    selector: bytes = b""

    def __init_subclass__(cls, types: str | None = None, says: str = "", name: str = "", **options: Any) -> None:
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
class RevertReasonError(ContractRevertError, types="string", name="Error", says="the contract refused: {reason}"):
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
