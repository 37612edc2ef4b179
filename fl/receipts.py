"""Receipts: a station's signature that it has counted a contribution, on its way to the device and in its hands.

A receipt travels in the next training message, with everything that it is about, so that a device needs no memory: it
recognises its own contribution by its own signature. A station that leaves the contribution out of its record after
all is exposed by the receipt (`RoundLedger.challengeOmitted`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Message, RecordDict

from fl._flower_private import record_with, with_content
from fl.arrays import record_named
from twins import canonical
from twins.contribution import Contribution, Receipt, SigningDomain
from twins.errors import SignatureError, TwinsError
from twins.types import Address, Digest, TwinId, parse_address, parse_digest
from twins.updates import Entry, StationUpdate

Acknowledge = Callable[[TwinId, int, Entry], bytes]
"""(twin, trained round, contribution) to the station's signature of the `Receipt`."""

_PREFIX = "receipt-"  # of what is in a message's configuration beside the round's own: a mod of Flower's allows one
_KEPT = 8  # rounds whose receipts wait for their update to be recorded


@dataclass(frozen=True)
class SignedReceipt:
    """A receipt and what it is about.

    Attributes:
        contribution: what the device stated.
        signature: the device's, of that.
        receipt: the station's signature of the `Receipt`.
    """

    contribution: Contribution
    signature: bytes
    receipt: bytes

    def entry(self, device: Address) -> Entry:
        """Return the contribution as the station's index has it; its size isn't known here, nor in its leaf."""
        known: Entry | None = self.__dict__.get("_entry")
        if known is None or known.device != device:
            known = Entry(device, self.contribution.digest, self.contribution.examples, self.signature, 0)
            self.__dict__["_entry"] = known
        return known

    def require_valid(self, device: Address, domain: SigningDomain) -> None:
        """Check both signatures.

        Raises:
            SignatureError: somebody else's contribution, or not signed by the station that the contribution went to.
        """
        contribution = self.contribution
        # Stops a station from handing out a neighbour's receipt, which would prove nothing for this device.
        if (signer := contribution.signer(domain, self.signature)) != device:
            raise SignatureError(f"receipt for a contribution of {signer}: expected one of {device}")
        statement = Receipt(contribution.twin, contribution.round, self.entry(device).leaf_digest)
        if (signer := statement.signer(domain, self.receipt)) != contribution.station:
            raise SignatureError(f"receipt signed by {signer}: expected station {contribution.station}")

    def to_config(self) -> dict[str, str | int | bytes]:
        """Return it as values of a message's configuration."""
        stated = self.contribution
        return {
            f"{_PREFIX}twin": stated.twin,
            f"{_PREFIX}round": stated.round,
            f"{_PREFIX}station": stated.station,
            f"{_PREFIX}base": stated.base,
            f"{_PREFIX}digest": stated.digest,
            f"{_PREFIX}examples": stated.examples,
            f"{_PREFIX}contribution": self.signature,
            f"{_PREFIX}signature": self.receipt,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SignedReceipt | None:
        """Read what came with a message: None if nothing did.

        Raises:
            FormatError, KeyError, TypeError: not as `to_config` makes it.
        """
        if f"{_PREFIX}signature" not in config:
            return None
        number, examples = config[f"{_PREFIX}round"], config[f"{_PREFIX}examples"]
        signatures = config[f"{_PREFIX}contribution"], config[f"{_PREFIX}signature"]
        if type(number) is not int or type(examples) is not int or {type(one) for one in signatures} != {bytes}:
            raise TypeError(f"expected two numbers and two signatures, got {number!r}, {examples!r} and {signatures!r}")
        if not (0 <= number < 2**64 and 0 <= examples < 2**64):
            raise TypeError(f"expected numbers of 64 bits, got round {number} and {examples} examples")
        contribution = Contribution(
            TwinId(parse_digest(config[f"{_PREFIX}twin"])),
            number,
            parse_address(config[f"{_PREFIX}station"]),
            parse_digest(config[f"{_PREFIX}base"]),
            parse_digest(config[f"{_PREFIX}digest"]),
            examples,
        )
        return cls(contribution, *signatures)

    def to_bytes(self, device: Address, domain: SigningDomain) -> bytes:
        """Return a line of the device's file: canonical JSON with all that a dispute needs."""
        stated = self.contribution
        return canonical.encode(
            {
                "chain_id": domain.chain_id,
                "contract": domain.contract,
                "twin": stated.twin,
                "round": stated.round,
                "station": stated.station,
                "base": stated.base,
                "device": device,
                "digest": stated.digest,
                "examples": stated.examples,
                "signature": "0x" + self.signature.hex(),
                "leaf": self.entry(device).leaf_digest,
                "receipt": "0x" + self.receipt.hex(),
            }
        )


def keep_receipt(config: Mapping[str, Any], folder: Path | str, device: Address, domain: SigningDomain) -> Path | None:
    """Keep the receipt that came with a message, if one did and it is good; a bad one is no reason not to train.

    Args:
        config: of the message.
        folder: the device's; the file is ``<device>.jsonl``, to which a line is added: a file for each receipt would
            take longer to make than the device takes to train.
        device: its account.
        domain: of the ledger.

    Returns:
        The file, or None.
    """
    try:
        found = SignedReceipt.from_config(config)
        if found is None:
            return None
        found.require_valid(device, domain)
        # No Path: each costs as much as the writing.
        file, line = f"{folder}/{device}.jsonl", found.to_bytes(device, domain) + b"\n"
        try:
            _add(file, line)
        except FileNotFoundError:  # the first one here
            os.makedirs(folder, exist_ok=True)
            _add(file, line)
    except (TwinsError, KeyError, TypeError, ValueError, OSError) as error:
        logging.getLogger(__name__).warning("device %s: receipt not kept: %s", device, error)
        return None
    return Path(file)


def _add(file: str, line: bytes) -> None:
    with open(file, "ab", buffering=0) as raw:
        written = raw.write(line)
        if written != len(line):  # a part of a line would spoil the next one
            raw.truncate(raw.tell() - written)
            raise OSError(f"{file}: not written, the disk may be full")


class PendingReceipts:
    """A station's receipts that its devices haven't got yet.

    One is signed only when its update is recorded. Before that the station may train for the round again, after a
    crash say, and not all devices may answer twice: with a receipt for the first training such a device could convict
    an honest station.
    """

    def __init__(self, acknowledge: Acknowledge | None, twin: TwinId, station: Address) -> None:
        """Begin with none; without ``acknowledge`` there never are any."""
        self._acknowledge, self._twin, self._station = acknowledge, twin, station
        self._waiting: dict[int, tuple[Digest, dict[Address, Entry]]] = {}  # round to its base and contributions
        self._sent: dict[Address, int] = {}  # device to the round of the receipt on its way

    def accepted(self, update: StationUpdate) -> None:
        """Take note of what a station has made; training again for the same round replaces it."""
        if self._acknowledge is None:
            return
        self._waiting[update.round] = update.base, {one.device: one.entry for one in update.updates}
        for oldest in sorted(self._waiting)[:-_KEPT]:
            del self._waiting[oldest]

    def add_to(self, message: Message, device: Address, recorded: Container[int]) -> Message:
        """Return the message with the device's oldest receipt for a recorded round, if there is one.

        Args:
            message: that goes to it.
            device: its account.
            recorded: rounds whose update is recorded.
        """
        for number in sorted(self._waiting):
            base, entries = self._waiting[number]
            if self._acknowledge is not None and number in recorded and device in entries:
                entry = entries[device]
                stated = Contribution(self._twin, number, self._station, base, entry.digest, entry.examples)
                receipt = self._acknowledge(self._twin, number, entry)
                told = SignedReceipt(stated, entry.signature, receipt).to_config()
                config = record_with(ConfigRecord, {**record_named(message.content, "config", ConfigRecord), **told})
                self._sent[device] = number
                return with_content(message, record_with(RecordDict, {**message.content, "config": config}))
        return message

    def delivered(self, device: Address) -> None:
        """Take note that a device has answered: what was sent to it has come."""
        number = self._sent.pop(device, None)
        if number in self._waiting:
            self._waiting[number][1].pop(device, None)
