"""Receipts and logs, read from a node's JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from twins.types import Address, address_of_bytes


@dataclass(frozen=True)
class Log:
    """One event as the node tells it.

    Attributes:
        address: contract that emitted it.
        topics: 32 bytes each.
        data: ABI-encoded.
        block: number.
        log_index: position in its block.
        transaction: hash.
    """

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block: int
    log_index: int
    transaction: str

    @classmethod
    def parse(cls, item: Mapping[str, Any]) -> Log:
        """Read the JSON-RPC object."""
        return cls(
            address=address_of_bytes(hex_bytes(item["address"])),
            topics=tuple(hex_bytes(topic) for topic in item["topics"]),
            data=hex_bytes(item["data"]),
            block=int(item["blockNumber"], 16),
            log_index=int(item["logIndex"], 16),
            transaction=item["transactionHash"],
        )


def parse_logs(items: Iterable[Mapping[str, Any]]) -> list[Log]:
    """Read what ``eth_getLogs`` answers; return it in the order of the chain."""
    return sorted(map(Log.parse, items), key=position)


def position(log: Log) -> tuple[int, int]:
    """Return where on the chain an event is."""
    return log.block, log.log_index


@dataclass(frozen=True)
class Receipt:
    """A mined transaction.

    Attributes:
        hash: of the transaction.
        block: number.
        gas_used: all of it, with the 21,000 of every transaction.
        status: True; a reverted one is an exception.
        logs: events that it emitted.
        contract_address: of a deployment.
    """

    hash: str
    block: int
    gas_used: int
    status: bool
    logs: tuple[Log, ...]
    contract_address: Address | None

    @classmethod
    def parse(cls, item: Mapping[str, Any]) -> Receipt:
        """Read the JSON-RPC object."""
        created = item.get("contractAddress")
        return cls(
            hash=item["transactionHash"],
            block=int(item["blockNumber"], 16),
            gas_used=int(item["gasUsed"], 16),
            status=int(item["status"], 16) == 1,
            logs=tuple(Log.parse(log) for log in item["logs"]),
            contract_address=address_of_bytes(hex_bytes(created)) if created else None,
        )


def hex_bytes(text: str) -> bytes:
    """Read JSON-RPC's spelling of bytes: ``0x`` and hex digits."""
    return bytes.fromhex(text[2:])
