"""What the contract classes share: typed calls and transactions at one address."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from chain.accounts import Account
from chain.connection import Block, Chain, Receipt
from chain.encoding import Function, Interface
from chain.errors import DeploymentError
from twins.types import Address


class Contract:
    """A deployed contract.

    Attributes:
        chain: where.
        address: at which address.
    """

    interface: Interface

    def __init__(self, chain: Chain, address: Address) -> None:
        """Bind a contract to its address; `chain.deployment.open_contracts` also checks what is there."""
        self.chain = chain
        self.address = address

    def __repr__(self) -> str:
        """Its name and address."""
        return f"{type(self).__name__}({self.address})"

    def _transact(self, account: Account, function: str, *values: object) -> Receipt:
        return self.chain.transact(account, self.address, self.interface.functions[function].encode(*values))

    def _transact_all(self, account: Account, function: str, calls: Iterable[Sequence[object]]) -> list[Receipt]:
        encode = self.interface.functions[function].encode
        return self.chain.transact_all(account, self.address, [encode(*values) for values in calls])

    def _read(self, function: str, *values: object, block: Block = None) -> tuple[Any, ...]:
        abi = self.interface.functions[function]
        return self._decoded(abi, self.chain.call(self.address, abi.encode(*values), block), block)

    def _read_all(self, reads: Sequence[tuple[str, Sequence[object]]], block: Block = None) -> list[tuple[Any, ...]]:
        """Read several things in one round trip."""
        abis = [self.interface.functions[function] for function, _ in reads]
        data = [abi.encode(*values) for abi, (_, values) in zip(abis, reads, strict=True)]
        answers = self.chain.calls(self.address, data, block)
        return [self._decoded(abi, answer, block) for abi, answer in zip(abis, answers, strict=True)]

    def _decoded(self, abi: Function, data: bytes, block: Block) -> tuple[Any, ...]:
        if not data and abi.outputs.items:
            # A call to an account without code succeeds and returns nothing.
            raise DeploymentError(
                f"{type(self).__name__} at {self.address}, chain {self.chain.url}: expected a contract, got "
                f"an "
                f"address without code{'' if block is None else f' at block {block}'}; deploy first"
            )
        return abi.decode(data)
