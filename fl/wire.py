"""Messages between the processes of one machine, as plain tuples and dictionaries: pickle is quickest with those.

Flower's records and metadata are objects with a dictionary each, a dozen a message. What several messages share (a
model, the round's configuration) stays shared, and travels once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.app.metadata import Metadata

from fl._flower_private import message_with, metadata_with, record_with
from fl.checked import CheckedReply
from fl.engines import Call, Check
from twins.updates import DeviceUpdate

_KINDS: tuple[Any, ...] = (ArrayRecord, ConfigRecord, MetricRecord)
_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}

Packed = tuple[Any, ...]


def pack_calls(calls: Sequence[Call]) -> list[Packed]:
    """Return calls as plain values."""
    return [
        (
            vars(message.metadata),
            _records(message.content),
            (context.run_id, context.node_id, context.node_config, _records(context.state), context.run_config),
        )
        for message, context in calls
    ]


def unpack_calls(packed: Sequence[Packed]) -> list[Call]:
    """Return what `pack_calls` was given: the inverse, but for what the messages shared of dictionaries."""
    return [
        (
            message_with(metadata_with(metadata), _unpacked(content)),
            Context(run_id, node_id, node_config, _unpacked(state), run_config),
        )
        for metadata, content, (run_id, node_id, node_config, state, run_config) in packed
    ]


def pack_replies(replies: Sequence[Message], calls: Sequence[Call], check: Check | None) -> list[Packed]:
    """Return replies, and the nodes' states, as plain values; of a reply that passes the check only the update."""
    packed = []
    for reply, (_, context) in zip(replies, calls, strict=True):
        update = None if check is None else check(reply)
        said: Any = update
        if update is None:
            said = reply.error if reply.has_error() else _records(reply.content)
        packed.append((vars(reply.metadata), said, _records(context.state)))
    return packed


def unpack_replies(packed: Sequence[Packed]) -> list[tuple[Message, RecordDict]]:
    """Return replies and states."""
    return [(_reply(metadata_with(metadata), said), _unpacked(state)) for metadata, said, state in packed]


def _reply(metadata: Metadata, said: object) -> Message:
    if isinstance(said, DeviceUpdate):
        return CheckedReply(metadata, said)
    if isinstance(said, Error):
        return message_with(metadata, None, said)
    return message_with(metadata, _unpacked(said))  # type: ignore[arg-type]


def _records(content: RecordDict) -> list[tuple[str, int, dict[str, Any]]]:
    return [(name, _NUMBERS[type(record)], vars(record)["_data"]) for name, record in content.items()]


def _unpacked(records: Sequence[tuple[str, int, dict[str, Any]]]) -> RecordDict:
    return record_with(RecordDict, {name: record_with(_KINDS[kind], values) for name, kind, values in records})
