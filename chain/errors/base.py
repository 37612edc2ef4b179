"""Errors that no contract made."""

from __future__ import annotations


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


class ChainStalledError(ChainError):
    """No blocks come.

    Attributes:
        block: the newest one's number.
    """

    def __init__(self, url: str, block: int, seconds: float) -> None:
        """Name the node, its newest block and how long was waited."""
        super().__init__(
            f"chain at {url}: expected blocks after {block} within {seconds:.0f} s, got too few; "
            "see to its validators, then run again: it continues where it was"
        )
        self.block = block


class InterruptedWaitError(ChainError):
    """Somebody asked to stop waiting."""


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
        super().__init__(transaction, f"reverted in block {block}, and a replay on the state around it does not")


class UndoneError(TransactionError):
    """Mined, undone by a reorganisation, and refused when it was sent again. Nothing of it is on the chain."""

    def __init__(self, transaction: str, block: int, reason: str) -> None:
        """Name the transaction, the block that it was in and why it can't be had again."""
        super().__init__(
            transaction, f"a reorganisation undid block {block}, and sent again it was refused: {reason}; do it again"
        )
