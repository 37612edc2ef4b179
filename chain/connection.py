"""The connection to a node: local signing, receipts, logs, typed errors.

Nothing above this file sees a transport's or a node's own errors. Transactions are EIP-1559, signed here; a
revert surfaces as the exception of its Solidity error before anything is sent, and again if the state changed
meanwhile.

Example::

    chain = Chain("http://127.0.0.1:8545")
    receipt = chain.transact(account, ledger_address, calldata)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NoReturn

from chain.accounts import Account
from chain.errors import ContractRevertError, RpcError, TransactionFailedError, TransactionTimeoutError
from chain.json_rpc import JsonRpc
from chain.receipts import Log as Log
from chain.receipts import Receipt as Receipt
from chain.receipts import hex_bytes
from twins.types import Address

Block = int | str | None
"""A block number, or ``latest``, ``safe``, ``finalized``, ``pending``; None is ``latest``."""

_FIRST_POLL = 0.005  # seconds: a node with automine has the receipt at once
_SLOWEST_POLL = 0.5  # seconds: a chain with a period of seconds needs no more
_GAS_MARGIN = 100_000  # a vote that turns out to be the deciding one costs more than it was estimated to
_LARGEST_PAGE = 10_000  # blocks of one eth_getLogs; public nodes' usual limit


class Chain(JsonRpc):
    """One node, and through it the chain. Threads may share it; an account belongs to one process."""

    def __init__(self, url: str, *, timeout: float = 30.0) -> None:
        """Connect lazily: the first request opens the connection.

        Args:
            url: the node's, http or https.
            timeout: seconds for one request, and for a transaction to be mined.

        Raises:
            ChainError: no http(s) URL, or a timeout that isn't positive.
        """
        super().__init__(url, timeout=timeout)
        self._locks: dict[Address, threading.Lock] = {}
        self._locks_lock = threading.Lock()

    # -- reads ----------------------------------------------------------------------------------------------

    @cached_property
    def chain_id(self) -> int:
        """EIP-155; asked once."""
        return int(self.rpc("eth_chainId"), 16)

    def block_number(self) -> int:
        """Return the newest block's number."""
        return int(self.rpc("eth_blockNumber"), 16)

    def block_hash(self, number: int) -> str | None:
        """Return the hash of a block, or None if this chain hasn't got that far."""
        block = self.rpc("eth_getBlockByNumber", (hex(number), False))
        return None if block is None else str(block["hash"])

    def timestamp(self, block: Block = None) -> int:
        """Return a block's time, Unix seconds: the contracts' only clock.

        Raises:
            RpcError: no such block.
        """
        found = self.rpc("eth_getBlockByNumber", (_block(block), False))
        if found is None:
            raise RpcError("eth_getBlockByNumber", 0, f"no block {block}")
        return int(found["timestamp"], 16)

    def code(self, address: Address, block: Block = None) -> bytes:
        """Return the code of a contract; empty for any other account."""
        return hex_bytes(self.rpc("eth_getCode", (address, _block(block))))

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
        request = {"to": to, "data": "0x" + data.hex()} | ({} if sender is None else {"from": sender})
        return hex_bytes(self.rpc("eth_call", (request, _block(block))))

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
        last = self.block_number() if to_block is None else to_block
        return sorted(self._pages(address, topics, from_block, last), key=lambda log: (log.block, log.log_index))

    def _pages(self, address: Address, topics: Sequence[object], first: int, last: int) -> Iterator[Log]:
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
            yield from (Log.parse(item) for item in found)
            first, page = end + 1, min(page * 2, _LARGEST_PAGE)

    # -- transactions ---------------------------------------------------------------------------------------

    def transact(self, account: Account, to: Address, data: bytes, value: int = 0) -> Receipt:
        """Sign, send, and wait until it is mined.

        Args:
            account: that signs and pays.
            to: contract.
            data: calldata.
            value: wei.

        Raises:
            ContractRevertError: the contract refused; by the estimate before anything was sent, or when
                mined.
            TransactionTimeoutError: sent, but not mined within `timeout`.
            TransactionFailedError: mined and reverted without a reason.
            RpcError: the node refused the transaction.
            ChainUnreachableError: no answer.
        """
        return self._transact(account, {"to": to, "data": "0x" + data.hex(), "value": value})

    def deploy(self, account: Account, bytecode: bytes, args: bytes = b"") -> Receipt:
        """Create a contract.

        Args:
            account: that signs and pays.
            bytecode: creation code.
            args: the constructor's arguments, ABI-encoded.

        Raises:
            As `transact`.
        """
        return self._transact(account, {"data": "0x" + (bytecode + args).hex(), "value": 0})

    def _transact(self, account: Account, request: dict[str, Any]) -> Receipt:
        with self._lock(account.address):  # from nonce to send: two threads must not take the same nonce
            transaction = self._prepare(account, request)
            raw, hash_ = account.sign_transaction(transaction)
            self._send(raw, hash_)
        receipt = self._wait(hash_)
        if not receipt.status:
            self._explain(account.address, request, receipt)
        return receipt

    def _lock(self, address: Address) -> threading.Lock:
        with self._locks_lock:
            return self._locks.setdefault(address, threading.Lock())

    def _prepare(self, account: Account, request: Mapping[str, Any]) -> dict[str, Any]:
        call = {**request, "from": account.address, "value": hex(request["value"])}
        # The pending count, asked every time instead of counted here: a node that was restarted or rolled
        # back must not leave this account with a gap that blocks all that follows.
        gas, nonce, block, tip = self.batch(
            (
                ("eth_estimateGas", (call,)),
                ("eth_getTransactionCount", (account.address, "pending")),
                ("eth_getBlockByNumber", ("latest", False)),
                ("eth_maxPriorityFeePerGas", ()),
            )
        )
        estimate = int(gas, 16)
        return {
            **request,
            "type": 2,
            "chainId": self.chain_id,
            "nonce": int(nonce, 16),
            "gas": min(estimate + max(estimate // 4, _GAS_MARGIN), int(block["gasLimit"], 16)),
            "maxPriorityFeePerGas": int(tip, 16),
            # EIP-1559: the base fee rises by 1/8 a block at most, so twice it holds for five full blocks.
            "maxFeePerGas": 2 * int(block["baseFeePerGas"], 16) + int(tip, 16),
        }

    def _send(self, raw: bytes, hash_: str) -> None:
        try:
            self.rpc("eth_sendRawTransaction", ("0x" + raw.hex(),))
        except ContractRevertError as error:
            # A node with automine reports what it has mined: the state changed since the estimate.
            error.add_note(f"mined in transaction {hash_}")
            raise
        except RpcError:
            # Sent twice because the first answer was lost: the node calls it known, or its nonce used.
            if self.rpc("eth_getTransactionByHash", (hash_,)) is None:
                raise

    def _wait(self, hash_: str) -> Receipt:
        deadline, pause = time.monotonic() + self.timeout, _FIRST_POLL
        while (found := self.rpc("eth_getTransactionReceipt", (hash_,))) is None:
            if time.monotonic() + pause > deadline:
                raise TransactionTimeoutError(hash_, self.timeout)
            time.sleep(pause)
            pause = min(pause * 2, _SLOWEST_POLL)
        return Receipt.parse(found)

    def _explain(self, sender: Address, request: Mapping[str, Any], receipt: Receipt) -> NoReturn:
        """Replay a mined revert: a receipt says only that it failed.

        On the state before its block; and on that after it, for what another transaction of the block did
        first.
        """
        call = {**request, "from": sender, "value": hex(request["value"])}
        for block in (receipt.block - 1, receipt.block):
            try:
                self.rpc("eth_call", (call, hex(block)))
            except ContractRevertError as error:
                error.add_note(f"mined in transaction {receipt.hash}")
                raise
        raise TransactionFailedError(receipt.hash, receipt.block)


def _block(block: Block) -> str:
    if block is None:
        return "latest"
    return block if isinstance(block, str) else hex(block)
