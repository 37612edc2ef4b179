"""What the contract classes share: typed calls and transactions at one address."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from chain.accounts import Account
from chain.connection import Block, Chain, Read, Receipt
from chain.encoding import Function, Interface
from chain.errors import DeploymentError, RpcError
from chain.event_classes import Event
from chain.event_log import EventLog
from chain.events import decode_events
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
        self._logs: dict[tuple[str, int], EventLog] = {}

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

    def call_of(self, function: str, *values: object, block: Block = None) -> Read:
        """Return what a view function is asked by, for `Chain.ask`: several at once, before they are read in a look."""
        return Read(self.address, self.interface.functions[function].encode(*values), block)

    def _events(
        self,
        kinds: Sequence[type[Event]],
        topics: Sequence[object],
        kept: Sequence[object],
        from_block: int,
        to_block: int | None,
    ) -> list[Event]:
        """Return events in the order of the chain.

        Args:
            kinds: of what the filter lets through.
            topics: filter, as `Chain.logs`.
            kept: a wider one, by which events are kept for the next look.
            from_block: first block.
            to_block: last block, inclusive; the newest if None.
        """
        look = self.chain.looking
        if look is not None and (to_block is None or to_block <= look.number):
            key = repr(kept), from_block
            if key not in self._logs:
                self._logs.setdefault(key, EventLog(self.chain, self.address, kept, from_block))
            with suppress(RpcError):  # another node has taken over, and hasn't come to the look's block
                return self._logs[key].events(look, topics, kinds, look.number if to_block is None else to_block)
        return decode_events(self.chain.logs(self.address, topics, from_block, to_block), kinds)

    def _decoded(self, abi: Function, data: bytes, block: Block) -> tuple[Any, ...]:
        if not data and abi.outputs.items:
            # A call to an account without code succeeds and returns nothing.
            raise DeploymentError(
                f"{type(self).__name__} at {self.address}, chain {self.chain.url}: expected a contract, got "
                f"an "
                f"address without code{'' if block is None else f' at block {block}'}; deploy first"
            )
        return abi.decode(data)
