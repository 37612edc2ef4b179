"""Transactions on a network that drops, reorders and undoes them.

A transaction has one hash however often it is sent, so sending again is always safe. What makes it hard: several
processes may take the same nonce of an account, a node may forget what it was sent, the base fee may outgrow the fee,
and a proof-of-authority chain has no finality: the block that a transaction was mined in can be undone (docs/adr/0008).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from chain.accounts import Account
from chain.errors import (
    ChainError,
    ChainStalledError,
    ContractRevertError,
    RpcError,
    TransactionFailedError,
    TransactionTimeoutError,
    UndoneError,
)
from chain.nodes import Nodes
from chain.receipts import Receipt
from chain.watch import Watch
from twins.types import Address

_GAS_MARGIN = 100_000  # a vote that turns out to be the deciding one costs more than it was estimated to
_ATTEMPTS = 10  # at a nonce, each after another process was faster
_PATIENT_BLOCKS = 3  # a transaction that isn't in one of so many blocks is looked after
_TAKEN = ("nonce too low", "replacement transaction underpriced")  # what geth and Hardhat say of a nonce in use


class _NonceTakenError(Exception):
    """Another transaction has, or will get, the nonce of ours: ours can't be mined."""


@dataclass
class _Sent:
    """A signed transaction, perhaps with several fees: at most one of its hashes is ever mined."""

    account: Account
    request: Mapping[str, Any]
    fields: dict[str, Any]
    raw: dict[str, bytes] = field(default_factory=dict)
    block: int = 0
    receipt: Receipt | None = None  # that came with the answer to its sending

    @property
    def key(self) -> tuple[Address, int]:
        return self.account.address, self.fields["nonce"]

    @property
    def hash(self) -> str:
        return list(self.raw)[-1]

    def sign(self) -> bytes:
        data, hash_ = self.account.sign_transaction(self.fields)
        self.raw[hash_] = data
        return data


class Transactions:
    """Sends one program's transactions, and answers for them until they are settled."""

    def __init__(self, chain: Nodes) -> None:
        """Send nothing yet."""
        self._chain = chain
        self._locks: dict[Address, threading.Lock] = {}
        self._lock = threading.Lock()
        self._open: dict[tuple[Address, int], _Sent] = {}  # sent, and not settled

    def transact(self, account: Account, request: dict[str, Any]) -> Receipt:
        """Sign, send, wait until mined. As `Chain.transact`."""
        return self.transact_all(account, [request])[0]

    def transact_all(self, account: Account, requests: Sequence[dict[str, Any]]) -> list[Receipt]:
        """Sign and send all, in order, then wait until the last is mined. As `Chain.transact_all`."""
        if self._open:
            self.tend(self._chain.block_number())
        sent: list[_Sent] = []
        receipts: list[Receipt] = []
        failure: ChainError | None = None
        with self._lock_of(account.address):  # from nonce to send: two threads must not take the same nonce
            try:
                for request in requests:
                    sent.append(self._send_new(account, request))
            except ChainError as error:
                failure = error
        for one in sent:  # also those before one that was refused: nobody else looks after them
            try:
                receipts.append(self._finished(one))
            except ChainError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return receipts

    def _send_new(self, account: Account, request: Mapping[str, Any]) -> _Sent:
        for _ in range(_ATTEMPTS):
            sent = self._prepare(account, request)
            sent.sign()
            try:
                self._send(sent)
            except _NonceTakenError:
                continue  # by another process; estimated anew: if it did the same, the contract refuses
            self._note(sent)
            return sent
        raise RpcError("eth_sendRawTransaction", 0, f"{account.address}: others took {_ATTEMPTS} nonces in a row")

    def _finished(self, sent: _Sent) -> Receipt:
        try:
            receipt = self._mined(sent)
        except _NonceTakenError:
            self._forget(sent)
            return self.transact(sent.account, dict(sent.request))
        except BaseException:
            self._forget(sent)
            raise
        sent.block = receipt.block
        if not self._chain.confirmations or not receipt.status:
            self._forget(sent)
        if not receipt.status:
            self._explain(sent, receipt)
        return receipt

    def _lock_of(self, address: Address) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(address, threading.Lock())

    def _note(self, sent: _Sent) -> None:
        with self._lock:
            self._open[sent.key] = sent

    def _forget(self, sent: _Sent) -> None:
        with self._lock:
            self._open.pop(sent.key, None)

    def _prepare(self, account: Account, request: Mapping[str, Any]) -> _Sent:
        call = {**request, "from": account.address, "value": hex(request["value"])}
        # The pending count, asked every time instead of counted here: a node that was restarted or rolled
        # back must not leave this account with a gap that blocks all that follows.
        gas, pending, block, tip = self._chain.batch(
            (
                ("eth_estimateGas", (call,)),
                ("eth_getTransactionCount", (account.address, "pending")),
                ("eth_getBlockByNumber", ("latest", False)),
                ("eth_maxPriorityFeePerGas", ()),
            )
        )
        with self._lock:  # a node that we have just changed to may not know yet what we answer for
            ours = [nonce + 1 for address, nonce in self._open if address == account.address]
        estimate = int(gas, 16)
        fields = {
            **request,
            "type": 2,
            "chainId": self._chain.chain_id,
            "nonce": max(int(pending, 16), *ours, 0),
            "gas": min(estimate + max(estimate // 4, _GAS_MARGIN), int(block["gasLimit"], 16)),
        }
        return _Sent(account, request, fields | _fees(block, tip))

    def _send(self, sent: _Sent) -> None:
        asked: list[tuple[str, tuple[object, ...]]] = [("eth_sendRawTransaction", ("0x" + sent.raw[sent.hash].hex(),))]
        if not self._chain.confirmations:  # automine: its receipt is there already, mostly
            asked.append(("eth_getTransactionReceipt", (sent.hash,)))
        try:
            _, *found = self._chain.batch(asked) if len(asked) > 1 else [self._chain.rpc(*asked[0])]
        except ContractRevertError as error:
            # A node with automine reports what it has mined: the state changed since the estimate.
            error.add_note(f"mined in transaction {sent.hash}")
            raise
        except RpcError as error:
            # Sent twice because the first answer was lost: the node calls it known, or its nonce used.
            if self._known(sent):
                return
            if any(text in error.message.lower() for text in _TAKEN):
                raise _NonceTakenError from error
            raise
        sent.receipt = next((Receipt.parse(item) for item in found if item is not None), None)

    def _known(self, sent: _Sent) -> bool:
        asked = [("eth_getTransactionByHash", (hash_,)) for hash_ in sent.raw]
        return any(found is not None for found in self._chain.batch(asked))

    def _receipt(self, sent: _Sent) -> Receipt | None:
        asked = [("eth_getTransactionReceipt", (hash_,)) for hash_ in sent.raw]
        found = next((item for item in self._chain.batch(asked) if item is not None), None)
        return None if found is None else Receipt.parse(found)

    def _mined(self, sent: _Sent) -> Receipt:
        """Wait for the receipt, and look after a transaction that isn't mined."""
        receipt, sent.receipt = sent.receipt or self._receipt(sent), None
        if receipt is not None:  # automine
            return receipt
        watch, looked = Watch(self._chain, max(self._chain.timeout, self._chain.patience)), 0
        while True:
            changed = watch.pause()
            receipt = self._receipt(sent)
            if receipt is not None:
                return receipt
            if changed or watch.moved - looked >= _PATIENT_BLOCKS:
                looked = watch.moved
                self._look_after(sent)
            if watch.over:
                raise TransactionTimeoutError(sent.hash, watch.seconds)

    def _look_after(self, sent: _Sent) -> None:
        """Send a forgotten transaction again; raise the fee of one that the base fee has outgrown."""
        if not self._known(sent):
            address, nonce = sent.key
            used = int(self._chain.rpc("eth_getTransactionCount", (address, "latest")), 16)
            if used > nonce and self._receipt(sent) is None:
                raise _NonceTakenError
            self._send(sent)
            return
        block, tip = self._chain.batch((("eth_getBlockByNumber", ("latest", False)), ("eth_maxPriorityFeePerGas", ())))
        old, new = sent.fields, _fees(block, tip)
        if old["maxFeePerGas"] < int(block["baseFeePerGas"], 16) + old["maxPriorityFeePerGas"]:
            # Pools take a replacement from 10 % above, in both fees (geth: txpool.pricebump).
            sent.fields |= {name: max(new[name], old[name] + old[name] // 8 + 1) for name in new}
            sent.sign()
            self._send(sent)

    def settle(self) -> None:
        """As `Chain.settle`."""
        if not self._open:
            return
        watch = Watch(self._chain, max(self._chain.timeout, self._chain.patience))
        while True:
            self.tend(watch.number)
            if not self._open:
                return
            if watch.over:
                raise ChainStalledError(self._chain.url, watch.number, watch.seconds)
            watch.pause()

    def tend(self, head: int) -> None:
        """Look once more at the transactions whose block should be settled now that the chain has come to ``head``.

        Raises:
            UndoneError: one was undone by a reorganisation, and can't be had again.
        """
        with self._lock:
            deep = [s for s in self._open.values() if s.block and head >= s.block + self._chain.confirmations]
        for sent in deep:
            self._review(sent, head)

    def _review(self, sent: _Sent, head: int) -> None:
        try:
            receipt = self._receipt(sent)
            if receipt is None:  # its block is gone, and nobody else will send it again
                self._look_after(sent)
                receipt = self._mined(sent)
            sent.block = receipt.block
            if not receipt.status:
                self._explain(sent, receipt)
        except (_NonceTakenError, ContractRevertError, TransactionFailedError) as error:
            self._forget(sent)
            reason = "another transaction took its nonce" if isinstance(error, _NonceTakenError) else str(error)
            raise UndoneError(sent.hash, sent.block, reason) from error
        if head >= receipt.block + self._chain.confirmations:
            self._forget(sent)

    def _explain(self, sent: _Sent, receipt: Receipt) -> NoReturn:
        """Replay a mined revert: a receipt says only that it failed.

        On the state before its block; and on that after it, for what another transaction of the block did
        first.
        """
        call = {**sent.request, "from": sent.account.address, "value": hex(sent.request["value"])}
        for block in (receipt.block - 1, receipt.block):
            try:
                self._chain.rpc("eth_call", (call, hex(block)))
            except ContractRevertError as error:
                error.add_note(f"mined in transaction {receipt.hash}")
                raise
        raise TransactionFailedError(receipt.hash, receipt.block)


def _fees(block: Mapping[str, Any], tip: str) -> dict[str, int]:
    """Return EIP-1559 fees, wei: the base fee rises by 1/8 a block at most, so twice it holds for five full blocks."""
    priority = int(tip, 16)
    return {
        "maxPriorityFeePerGas": priority,
        "maxFeePerGas": 2 * int(block["baseFeePerGas"], 16) + priority,
    }
