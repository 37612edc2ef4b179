"""The contracts' events as values: the whole history, which storage doesn't keep.

The classes are in `chain.event_classes`; here logs become them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chain.audit_events import AUDIT_EVENTS as AUDIT_EVENTS
from chain.audit_events import AnchorSet as AnchorSet
from chain.audit_events import ClaimStruck as ClaimStruck
from chain.audit_events import HolderAssigned as HolderAssigned
from chain.audit_events import HolderUnassigned as HolderUnassigned
from chain.audit_events import KeyRegistered as KeyRegistered
from chain.audit_events import KeyRevoked as KeyRevoked
from chain.audit_events import PolicySet as PolicySet
from chain.audit_events import ProofAccepted as ProofAccepted
from chain.audit_events import Revealed as Revealed
from chain.audit_events import TagsRegistered as TagsRegistered
from chain.audit_values import AuditPolicy, Mode
from chain.connection import Log
from chain.encoding import EventAbi, interface
from chain.errors import EncodingError
from chain.event_classes import LEDGER_EVENTS as LEDGER_EVENTS
from chain.event_classes import REGISTRY_EVENTS as REGISTRY_EVENTS
from chain.event_classes import Attested as Attested
from chain.event_classes import BallotCast as BallotCast
from chain.event_classes import ChallengeAnswered as ChallengeAnswered
from chain.event_classes import Challenged as Challenged
from chain.event_classes import DeviceEquivocated as DeviceEquivocated
from chain.event_classes import Disputed as Disputed
from chain.event_classes import Elected as Elected
from chain.event_classes import Event as Event
from chain.event_classes import Genesis as Genesis
from chain.event_classes import NodesSet as NodesSet
from chain.event_classes import RosterSet as RosterSet
from chain.event_classes import RoundAborted as RoundAborted
from chain.event_classes import RoundFinal as RoundFinal
from chain.event_classes import RoundOpened as RoundOpened
from chain.event_classes import StationRegistered as StationRegistered
from chain.event_classes import StationReinstated as StationReinstated
from chain.event_classes import StationSuspended as StationSuspended
from chain.event_classes import SuspensionVoted as SuspensionVoted
from chain.event_classes import TwinRegistered as TwinRegistered
from chain.event_classes import TwinRevised as TwinRevised
from chain.event_classes import TwinTransferred as TwinTransferred
from chain.event_classes import UpdateRejected as UpdateRejected
from chain.event_classes import UpdateSubmitted as UpdateSubmitted
from chain.event_classes import WeightSet as WeightSet
from chain.values import Reason, RoundPolicy

# Arguments that aren't what the ABI says of them: structs and enumerations.
_VALUES: Mapping[tuple[type[Event], str], Callable[[Any], object]] = {
    (TwinRegistered, "policy"): lambda fields: RoundPolicy(*fields),
    (UpdateRejected, "reason"): Reason,
    (PolicySet, "policy"): lambda fields: AuditPolicy(*fields),
    (ProofAccepted, "mode"): Mode,
}


def event_abi(kind: type[Event]) -> EventAbi:
    """Return the ABI of an event's class."""
    names = {"TwinRegistry": REGISTRY_EVENTS, "RoundLedger": LEDGER_EVENTS, "SyncAudit": AUDIT_EVENTS}
    return next(interface(name).events[kind.__name__] for name, kinds in names.items() if kind in kinds)


def topic_filter(kinds: Iterable[type[Event]]) -> list[str]:
    """Return the first topics of some kinds of events, for `Chain.logs`."""
    return ["0x" + event_abi(kind).topic.hex() for kind in kinds]


def decode_events(logs: Iterable[Log], kinds: Iterable[type[Event]]) -> list[Event]:
    """Decode the logs of these kinds; others (OpenZeppelin's role events) are left out.

    Raises:
        EncodingError: a log that claims to be one of ours and isn't.
    """
    by_topic: Mapping[bytes, tuple[type[Event], EventAbi]] = {
        abi.topic: (kind, abi) for kind, abi in ((kind, event_abi(kind)) for kind in kinds)
    }
    events = []
    for log in logs:
        found = by_topic.get(log.topics[0]) if log.topics else None
        if found is not None:
            kind, abi = found
            values = _typed(kind, abi.decode(log.topics, log.data))
            events.append(kind(block=log.block, log_index=log.log_index, transaction=log.transaction, **values))
    return events


def _typed(kind: type[Event], values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {name: _VALUES.get((kind, name), _as_it_is)(value) for name, value in values.items()}
    except ValueError as error:
        raise EncodingError(f"event {kind.__name__}: {error}; is it the contract of this version?") from error


def _as_it_is(value: object) -> object:
    return value
