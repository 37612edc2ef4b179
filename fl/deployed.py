"""Devices on other machines: an engine that hands a station's messages to Flower's own grid, and waits for replies.

The station's grid, its strategy and its checks are the same as in one process (`fl.grid`); only who calls the
ClientApps differs. Devices come and go meanwhile: one that isn't there or doesn't answer in time is an error reply, as
one that raised is, so that the round goes on with the others and the record says who was missing. A device that was
started anew is sent its message again, for what it had been given died with it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flwr.app import ConfigRecord, Error, Message, MessageType, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from fl._flower_private import identify_server
from fl.arrays import record_named
from fl.engines import Call, LocalEngine, Replied
from fl.errors import EngineError
from fl.packing import packed, unpacked
from twins.canonical import Json

_POLL = 0.25  # seconds between looks for replies, each some 20 ms of the SuperLink; Flower's own loop sleeps 3
_ASKING = 120.0  # seconds that a simulation's nodes may take to say who they are
_LOOK = 2.0  # seconds between looks for devices that were started anew


@dataclass(frozen=True)
class Connected:
    """A device's SuperNode, as the SuperLink has it.

    Attributes:
        node: its id, a random number of 64 bits.
        since: when it was activated: another time is another process, which knows nothing of earlier messages.
    """

    node: int
    since: str


Locate = Callable[[], Mapping[int, Connected]]
"""Tells which nodes of the station's grid are connected, and as what: asked before a message is sent."""


@dataclass(frozen=True)
class Patience:
    """How long a station waits for its devices.

    Attributes:
        gather: seconds for one that isn't connected, once: then it is left out until it is there again.
        deadline: seconds from sending a message to its reply.
    """

    gather: float = 30.0
    deadline: float = 300.0


@dataclass(frozen=True)
class Exchange:
    """One message to each device, and what came back; seconds since the first was to be sent.

    Attributes:
        kind: Flower's message type.
        asked: devices.
        answered: of them, without an error.
        gathered: when who is there was known.
        sent: when the SuperLink had all messages.
        first: when the first reply was there; None if none came.
        last: when nobody was waited for any more.
    """

    kind: str
    asked: int
    answered: int
    gathered: float
    sent: float
    first: float | None
    last: float


@dataclass(frozen=True)
class SuperLink:
    """Where a station's devices connect to, seen from its ServerApp.

    Attributes:
        grid: Flower's.
    """

    grid: Grid

    def connected(self) -> dict[bytes, Connected]:
        """Return the nodes that are connected, by their public keys (PEM)."""
        return {node.public_key: Connected(node.node_id, node.last_activated_at) for node in self.grid.get_nodes()}

    def numbered(self) -> dict[int, Connected]:
        """Return the nodes that answer when they are asked for their number, by it; for simulations: it is no proof."""
        identify_server(self.grid.run.run_id)
        nodes = {node.node_id: node.last_activated_at for node in self.grid.get_nodes()}
        asked = [Message(RecordDict(), node, MessageType.QUERY) for node in nodes]
        found = {}
        for reply in self.grid.send_and_receive(asked, timeout=_ASKING):
            if not reply.has_error():
                number = record_named(reply.content, "config", ConfigRecord)["partition-id"]
                node = reply.metadata.src_node_id
                found[int(number)] = Connected(node, nodes[node])  # type: ignore[arg-type]
        return found

    def engine(
        self, locate: Locate, patience: Patience, told: Callable[[Exchange], None] = lambda exchange: None
    ) -> DeployedEngine:
        """Return what sends a station's messages to them."""
        return DeployedEngine(self.grid, locate, patience, told)


class DeployedEngine:
    """Runs everything on the devices themselves."""

    def __init__(
        self,
        grid: Grid,
        locate: Locate,
        patience: Patience | None = None,
        told: Callable[[Exchange], None] = lambda exchange: None,
    ) -> None:
        """Take over a grid; nothing is sent.

        Args:
            grid: Flower's, of a ServerApp.
            locate: tells who is there.
            patience: with devices.
            told: told of each exchange, when it is over.
        """
        self._told = told
        self._grid, self._locate, self._patience = grid, locate, patience or Patience()
        self._absent: set[int] = set()  # nobody waits for them twice

    @property
    def facts(self) -> dict[str, Json]:
        """See `fl.engines.Engine`: a device trains with one thread, as the loop does, and where changes no bit."""
        return LocalEngine().facts

    @property
    def at_once(self) -> int:
        """See `Engine`."""
        return 1

    def start(self) -> None:
        """Nothing is to be started: devices are others' processes."""

    def close(self) -> None:
        """Nothing was started."""

    def run(self, app: ClientApp, calls: Sequence[Call], replied: Replied) -> list[Message]:
        """See `fl.engines.Engine`; the app is what the devices were started with.

        Raises:
            EngineError: the SuperLink took none of the messages.
        """
        requests = {message.metadata.dst_node_id: message for message, _ in calls}
        begun = time.monotonic()
        there = self._gather(requests)
        gathered = time.monotonic()
        post = _Post(self._grid, self._patience.deadline)
        deadline = time.monotonic() + self._patience.deadline
        post.send(requests, there)
        sent, first = time.monotonic(), None
        replies: dict[int, Message] = {}
        look = time.monotonic() + _LOOK
        while post.waiting() and time.monotonic() < deadline:
            time.sleep(_POLL)
            for place, reply in post.received():
                replies[place] = _reply_to(requests[place], reply)
                first = first or time.monotonic()
                if not reply.has_error():
                    replied(place)
            if time.monotonic() > look:
                look = time.monotonic() + _LOOK
                post.send(requests, {place: at for place, at in self._locate().items() if post.lost(place, at)})
        if requests:
            kind = calls[0][0].metadata.message_type
            good = sum(not reply.has_error() for reply in replies.values())
            times = (gathered - begun, sent - begun, None if first is None else first - begun, time.monotonic() - begun)
            self._told(Exchange(kind, len(requests), good, *times))
        for place, request in requests.items():
            if place not in replies:
                replies[place] = Message(self._missing(place, there), reply_to=request)
        return [replies[message.metadata.dst_node_id] for message, _ in calls]

    def _gather(self, requests: Mapping[int, Message]) -> dict[int, Connected]:
        """Return who is there; wait a little for those who were there so far."""
        deadline = time.monotonic() + self._patience.gather
        while True:
            located = self._locate()
            there = {place: located[place] for place in requests if place in located}
            self._absent -= set(located)
            missing = set(requests) - set(there) - self._absent
            if not missing or time.monotonic() > deadline:
                self._absent |= missing
                return there
            time.sleep(min(1.0, self._patience.gather / 10))

    def _missing(self, place: int, there: Mapping[int, Connected]) -> Error:
        if place not in there:
            return Error(ErrorCode.NODE_UNAVAILABLE, "its SuperNode isn't connected")
        return Error(ErrorCode.MESSAGE_UNAVAILABLE, f"no reply within {self._patience.deadline:g} s")


class _Post:
    """Messages on their way, each known by the id that the SuperLink gave it."""

    def __init__(self, grid: Grid, lifetime: float) -> None:
        self._grid, self._lifetime = grid, lifetime
        self._ids: dict[str, int] = {}
        self._to: dict[int, Connected] = {}

    def waiting(self) -> bool:
        return bool(self._ids)

    def lost(self, place: int, at: Connected) -> bool:
        """Whether the process that was sent a message is gone, and another one is there in its stead."""
        return place in self._ids.values() and self._to[place].since != at.since

    def send(self, requests: Mapping[int, Message], to: Mapping[int, Connected]) -> None:
        """Send each of these nodes its request; what it was sent before is forgotten."""
        if not to:
            return
        self._ids = {identity: place for identity, place in self._ids.items() if place not in to}
        identify_server(self._grid.run.run_id)  # the station's own grid has another number
        messages = [
            Message(
                packed(requests[place].content),
                at.node,
                requests[place].metadata.message_type,
                ttl=self._lifetime,
                group_id=requests[place].metadata.group_id,
            )
            for place, at in to.items()
        ]
        given = list(self._grid.push_messages(messages))
        if not any(given):
            raise EngineError(f"expected the SuperLink to take {len(messages)} messages, got none of them taken")
        for place, identity in zip(to, given, strict=True):
            if identity:
                self._ids[identity] = place
                self._to[place] = to[place]
            else:
                logging.getLogger(__name__).warning("node %d: its message wasn't taken", to[place].node)

    def received(self) -> list[tuple[int, Message]]:
        found = []
        for reply in self._grid.pull_messages(list(self._ids)):
            place = self._ids.pop(reply.metadata.reply_to_message_id, None)
            if place is not None:
                found.append((place, reply))
        return found


def _reply_to(request: Message, reply: Message) -> Message:
    """Return what came as the reply of the station's own node."""
    if reply.has_error():
        return Message(reply.error, reply_to=request)
    try:
        content = unpacked(reply.content)
    except Exception:  # a stranger's bytes may make a parser raise anything: the verifier says what is wrong with them
        content = reply.content
    return Message(content, reply_to=request)
