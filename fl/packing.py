"""A model as one object on the wire: Flower sends each tensor as two, each with a request of its own on every hop.

A station packs what it sends to devices elsewhere (`fl.deployed`); a device that is sent a packed model packs its reply
(`unpack_what_comes`). Inside one process nothing is packed.
"""

from __future__ import annotations

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp.typing import ClientAppCallable

from fl._flower_private import with_content
from fl.arrays import from_record, to_record
from twins.model import TwinModel

_PACKED = "safetensors"  # name of the one array, of bytes


def packed(content: RecordDict) -> RecordDict:
    """Return records with the model in one array; the others are the same."""
    record = content.get("arrays")
    if not isinstance(record, ArrayRecord) or _PACKED in record:
        return content
    data = np.frombuffer(from_record(record).to_bytes(), dtype=np.uint8)
    return _with_arrays(content, ArrayRecord({_PACKED: Array(data)}))


def unpacked(content: RecordDict) -> RecordDict:
    """Return records with the model as it was before `packed`; content that isn't packed is returned as it is.

    Raises:
        ModelFormatError: bytes that are no model.
    """
    record = content.get("arrays")
    if not isinstance(record, ArrayRecord) or list(record) != [_PACKED]:
        return content
    return _with_arrays(content, to_record(TwinModel.from_bytes(record[_PACKED].numpy().tobytes())))


def _with_arrays(content: RecordDict, arrays: ArrayRecord) -> RecordDict:
    changed = content.copy()
    changed["arrays"] = arrays
    return changed


def unpack_what_comes(message: Message, context: Context, app: ClientAppCallable) -> Message:
    """Unpack a message, and pack the reply to it if it was packed; a mod of Flower's, the outermost."""
    plain = unpacked(message.content)
    if plain is message.content:
        return app(message, context)
    reply = app(with_content(message, plain), context)
    return reply if reply.has_error() else with_content(reply, packed(reply.content))
