"""The four things that Flower 1.41 has no public way for, and nothing else.

A test fails loudly on another version of Flower.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from flwr.app import Message, RecordDict
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
    return Message(content=content, metadata=message.metadata)  # type: ignore[call-overload, no-any-return]


def norm(input_arrays: list[NDArray[Any]]) -> float:
    """Return the L2 norm over all arrays, rounded once, and above 0.

    Flower's own has two flaws for which this stands in for it. It sums in BLAS, in an order that depends on the
    processor, so that an auditor with another one would clip otherwise. And it divides by it: one device that sends
    the base back unchanged would end every private round (https://github.com/flwrlabs/flower/pull/7631).
    """
    squares = (np.square(np.asarray(array, dtype=np.float64)).ravel().tolist() for array in input_arrays)
    return max(math.sqrt(math.fsum(square for array in squares for square in array)), sys.float_info.min)


differential_privacy.get_norm = norm  # where all of Flower's clipping looks it up
