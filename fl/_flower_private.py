"""What Flower 1.41 has no public way for, or none that is quick enough for every message of every device.

A test fails loudly on another version of Flower.
"""

from __future__ import annotations

import math
import sys
import time
from typing import Any, TypeVar

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.app.metadata import Metadata
from flwr.supercore import differential_privacy
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray

KEY_CLIPPING_NORM = differential_privacy.KEY_CLIPPING_NORM
"""Under which a wrapper tells the devices what to clip to."""

SERVER_NODE = 1
"""Node id of Flower's SuperLink."""


def identify_server(run_id: int) -> None:
    """Let this process create messages as the server of a run: ``Message(...)`` reads its identity here."""
    TaskIdentity.run_id = run_id
    TaskIdentity.node_id = SERVER_NODE
    TaskIdentity.task_id = 0


def set_message_id(message: Message, identity: str) -> None:
    """Give a message its id, as a SuperLink does on arrival: replies refer to it."""
    message.metadata.__dict__["_message_id"] = identity


def with_content(message: Message, content: RecordDict) -> Message:
    """Return the same message with other content: replies to it are replies to the original."""
    return message_with(message.metadata, content)


def reply_with(content: RecordDict, message: Message) -> Message:
    """Return ``Message(content, reply_to=message)``: what of that was checked when the message was made isn't again."""
    asked, now = message.metadata.__dict__, time.time()
    own = {
        "_message_id": "",
        "_src_node_id": asked["_dst_node_id"],
        "_dst_node_id": asked["_src_node_id"],
        "_src_task_id": asked["_dst_task_id"],
        "_dst_task_id": asked["_src_task_id"],
        "_reply_to_message_id": asked["_message_id"],
        "_created_at": now,
        "_ttl": asked["_created_at"] + asked["_ttl"] - now,
        "_delivered_at": "",
    }
    return message_with(metadata_with({**asked, **own}), content)


def metadata_with(values: dict[str, Any]) -> Metadata:
    """Return the metadata of which ``vars`` gave these values."""
    metadata = Metadata.__new__(Metadata)
    metadata.__dict__.update(values)
    return metadata


def message_with(metadata: Metadata, content: RecordDict | None, error: Error | None = None) -> Message:
    """Return a message with this metadata, and either content or an error."""
    message = Message.__new__(Message)
    message.__dict__.update(_metadata=metadata, _content=content, _error=error)
    return message


_Record = TypeVar("_Record", RecordDict, ArrayRecord, ConfigRecord, MetricRecord)

_EMPTY: dict[type, Any] = {kind: vars(kind()) for kind in (RecordDict, ArrayRecord, ConfigRecord, MetricRecord)}


def record_with(kind: type[_Record], values: dict[str, Any]) -> _Record:
    """Return ``kind(values)`` for values that are of its types: Flower's looks at each, and there are 30 an update."""
    record = kind.__new__(kind)
    record.__dict__.update(_EMPTY[kind], _data=values)
    return record


def norm(input_arrays: list[NDArray[Any]]) -> float:
    """Return the L2 norm over all arrays, rounded once, and above 0.

    Flower's own has two flaws for which this stands in for it. It sums in BLAS, in an order that depends on the
    processor, so that an auditor with another one would clip otherwise. And it divides by it: one device that sends
    the base back unchanged would end every private round (https://github.com/flwrlabs/flower/pull/7631).
    """
    squares = (np.square(np.asarray(array, dtype=np.float64)).ravel().tolist() for array in input_arrays)
    return max(math.sqrt(math.fsum(square for array in squares for square in array)), sys.float_info.min)


differential_privacy.get_norm = norm  # where all of Flower's clipping looks it up
