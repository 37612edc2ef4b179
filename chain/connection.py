"""The connection to a chain: reads, logs, transactions, and what to do while it doesn't go on.

Nothing above this file sees a transport's or a node's own errors. Transactions (`chain.transactions`) are EIP-1559,
signed here; a revert surfaces as the exception of its Solidity error before anything is sent, and again if the state
changed meanwhile.

Example::

    chain = Chain(["http://127.0.0.1:8545", "http://127.0.0.1:8546"], patience=600)
    receipt = chain.transact(account, ledger_address, calldata)
    chain.settle()  # no reorganisation that was ever seen takes it back
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from chain.accounts import Account
from chain.errors import ChainStalledError, RpcError
from chain.looks import Block as Block
from chain.looks import Looks, block_tag
from chain.looks import Read as Read
from chain.nodes import CONFIRMATIONS as CONFIRMATIONS
from chain.receipts import Log as Log
from chain.receipts import Receipt as Receipt
from chain.receipts import hex_bytes, parse_logs
from chain.transactions import Transactions
from chain.watch import Watch
from twins.types import Address

_LARGEST_PAGE = 10_000  # blocks of one eth_getLogs; public nodes' usual limit


class Chain(Looks):
    """A chain. Threads may share it, and processes may share an account."""

    def __init__(self, urls: str | Sequence[str], **options: Any) -> None:
        """Connect lazily: the first request opens the connection.

        Args:
            urls: of one or several nodes of the same chain.
            options: those of `Nodes`.

        Raises:
            ChainError: no http(s) URL, or an option out of its range.
        """
        super().__init__(urls, **options)
        self._transactions = Transactions(self)

    # -- reads ----------------------------------------------------------------------------------------------

    def block_hash(self, number: int) -> str | None:
        """Return the hash of a block, or None if this chain hasn't got that far."""
        block = self.rpc("eth_getBlockByNumber", (hex(number), False))
        return None if block is None else str(block["hash"])

    def timestamp(self, block: Block = None) -> int:
        """Return a block's time, Unix seconds: the contracts' only clock.

        Raises:
            RpcError: no such block.
        """
        look, newest = self.looking, None if self.confirmations else "pending"
        if look is not None and block == newest:
            return look.time
        found = self.rpc("eth_getBlockByNumber", (block_tag(block), False))
        if found is None:
            raise RpcError("eth_getBlockByNumber", 0, f"no block {block}")
        return int(found["timestamp"], 16)

    def code(self, address: Address, block: Block = None) -> bytes:
        """Return the code of a contract; empty for any other account."""
        return hex_bytes(self.rpc("eth_getCode", (address, block_tag(block))))

    def call(self, to: Address, data: bytes, block: Block = None, sender: Address | None = None) -> bytes:
        """Execute without recording.

        Args:
            to: contract.
            data: calldata.
            block: on whose state.
            sender: ``msg.sender``; the zero address if None.

        Raises:
            ContractRevertError: the contract refused.
        """
        (answer,) = self.ask([Read(to, data, block, sender)])
        return answer

    def calls(self, to: Address, data: Sequence[bytes], block: Block = None) -> list[bytes]:
        """Execute several calls of one contract without recording, in one round trip; as `call`."""
        return self.ask([Read(to, one, block) for one in data])

    def logs(
        self, address: Address, topics: Sequence[object], from_block: int, to_block: int | None = None
    ) -> list[Log]:
        """Return a contract's events in the order of the chain.

        Nodes limit how much they answer at once, each by its own measure. Pages of blocks are halved when one
        is refused and doubled again when one is served.

        Args:
            address: of the contract.
            topics: filter as of ``eth_getLogs``: per position None, a topic, or a list of alternatives; hex
                strings.
            from_block: first block.
            to_block: last block, inclusive; the newest if None.

        Raises:
            RpcError: refused even for one block.
        """
        if to_block is None:
            newest, found = self._newest_logs(address, topics, from_block)
            if found is not None:
                return found
            to_block = newest
        return [log for page in self._pages(address, topics, from_block, to_block) for log in page]

    def _newest_logs(self, address: Address, topics: Sequence[object], from_block: int) -> tuple[int, list[Log] | None]:
        """Ask for all at once: rounds look at few blocks, and often.

        Returns:
            The newest block, and the events in their order; None where they have to be asked for page by page.
        """
        query = {"address": address, "topics": list(topics), "fromBlock": hex(from_block), "toBlock": "latest"}
        try:
            newest, found = self.batch((("eth_blockNumber", ()), ("eth_getLogs", (query,))))
        except RpcError:
            return self.block_number(), None
        last = int(newest, 16)
        if last - from_block >= _LARGEST_PAGE:  # what a node says to so many blocks may be cut short
            return last, None
        return last, parse_logs(found)

    def _pages(self, address: Address, topics: Sequence[object], first: int, last: int) -> Iterator[list[Log]]:
        page = _LARGEST_PAGE
        while first <= last:
            end = min(first + page - 1, last)
            query = {"address": address, "topics": list(topics), "fromBlock": hex(first), "toBlock": hex(end)}
            try:
                found = self.rpc("eth_getLogs", (query,))
            except RpcError:
                if end == first:
                    raise
                page = (end - first + 1) // 2
                continue
            yield parse_logs(found)
            first, page = end + 1, min(page * 2, _LARGEST_PAGE)

    def receipt(self, hash_: str) -> Receipt:
        """Return the receipt of a mined transaction; after a reorganisation its block may be another.

        Raises:
            RpcError: it isn't mined.
        """
        found = self.rpc("eth_getTransactionReceipt", (hash_,))
        if found is None:
            raise RpcError("eth_getTransactionReceipt", 0, f"transaction {hash_} is not mined")
        return Receipt.parse(found)

    # -- transactions ---------------------------------------------------------------------------------------

    def transact(self, account: Account, to: Address, data: bytes, value: int = 0) -> Receipt:
        """Sign, send, and wait until it is mined; `settle` waits until it can't be undone.

        Args:
            account: that signs and pays.
            to: contract.
            data: calldata.
            value: wei.

        Raises:
            ContractRevertError: the contract refused; by the estimate before anything was sent, or when
                mined.
            TransactionTimeoutError: sent, but not mined in time.
            TransactionFailedError: mined and reverted without a reason.
            RpcError: the node refused the transaction.
            ChainUnreachableError: no answer.
        """
        return self._transactions.transact(account, {"to": to, "data": "0x" + data.hex(), "value": value})

    def transact_all(self, account: Account, to: Address, calls: Sequence[bytes]) -> list[Receipt]:
        """Sign and send several transactions, in their order, before waiting for the first to be mined.

        Each must be possible on the present state, for it is estimated before those in front of it are mined.

        Args:
            account: that signs and pays.
            to: contract.
            calls: calldata of each.

        Raises:
            As `transact`; those before the refused one were sent all the same.
        """
        requests = [{"to": to, "data": "0x" + data.hex(), "value": 0} for data in calls]
        return self._transactions.transact_all(account, requests)

    def deploy(self, account: Account, bytecode: bytes, args: bytes = b"") -> Receipt:
        """Create a contract.

        Args:
            account: that signs and pays.
            bytecode: creation code.
            args: the constructor's arguments, ABI-encoded.

        Raises:
            As `transact`.
        """
        return self._transactions.transact(account, {"data": "0x" + (bytecode + args).hex(), "value": 0})

    def settle(self) -> None:
        """Wait until every transaction sent from here is `confirmations` deep; one that was undone is sent again.

        Raises:
            ChainStalledError: no blocks in time.
            UndoneError: sent again, it was refused.
        """
        self._transactions.settle()

    def tend(self) -> None:
        """Look after what was sent from here, without waiting.

        Raises:
            UndoneError: as `settle`.
        """
        self._transactions.tend(self.block_number())

    def await_block(self) -> int:
        """Wait for the next block, looking after what was sent from here meanwhile; return its number.

        Raises:
            ChainStalledError: none in time.
            UndoneError: as `settle`.
        """
        watch = Watch(self, max(self.timeout, self.patience))
        while not watch.moved:
            if watch.over:
                raise ChainStalledError(self.url, watch.number, watch.seconds)
            watch.pause()
        self._transactions.tend(watch.number)
        return watch.number
