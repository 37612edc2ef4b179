"""Replies that one of the station's own worker processes has verified: what comes back is the update, and no more.

A worker process is the station's own, as the process that runs a loop is: it trains the devices, and it holds what they
say against what was asked by the same `fl.verification.Verifier`. Only an update that passed is handed on so. A reply
that didn't is handed on as it is, and the station judges it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict
from flwr.app.metadata import Metadata

from fl._flower_private import record_with
from fl.arrays import to_record
from fl.errors import UpdateRejectedError
from fl.verification import Verifier
from twins.contribution import believe_signer
from twins.types import Address
from twins.updates import DeviceUpdate


@dataclass(frozen=True)
class CheckAll:
    """Verifies replies where they are made; see `fl.engines.Check`.

    Attributes:
        verifier: of the round.
        accounts: node to device.
    """

    verifier: Verifier
    accounts: Mapping[int, Address]

    def __call__(self, reply: Message) -> DeviceUpdate | None:
        """Return the verified update; None if the station must look at the reply itself."""
        device = self.accounts.get(reply.metadata.src_node_id)
        if device is None or reply.has_error():
            return None
        try:
            update = self.verifier.verified(device, reply)
        except UpdateRejectedError:
            return None
        _ = update.entry.leaf_digest  # the tree's, and the receipt's
        return update


class CheckedReply(Message):
    """A reply in which a worker process has found a good update.

    Attributes:
        update: the device's.
    """

    update: DeviceUpdate

    def __init__(self, metadata: Metadata, update: DeviceUpdate) -> None:
        """Hold them; nothing of Flower's own constructor applies."""
        self.__dict__.update(_metadata=metadata, _content=None, _error=None, update=update)

    @property  # type: ignore[misc]  # nobody sets it
    def content(self) -> RecordDict:
        """What the device said, put together again for who asks."""
        update = self.update
        metrics: dict[str, Any] = {"num-examples": update.examples, **update.metrics()}
        stated = {"device": update.device, "digest": update.digest, "signature": update.signature}
        records = {
            "arrays": to_record(update.model()),
            "metrics": record_with(MetricRecord, metrics),
            "contribution": record_with(ConfigRecord, stated),
        }
        return record_with(RecordDict, records)

    def has_content(self) -> bool:
        """Tell that there is some."""
        return True


def checked_update(verifier: Verifier, device: Address, reply: Message) -> DeviceUpdate | None:
    """Return the update that was verified for this round and device; None if the station must do so itself.

    Nobody else can have one taken for verified: a reply that came over a network is never a `CheckedReply`.
    """
    if type(reply) is not CheckedReply or reply.update.device != device:
        return None
    update = reply.update
    believe_signer(verifier.stated(update), verifier.config.domain, update.signature, device)
    return update
