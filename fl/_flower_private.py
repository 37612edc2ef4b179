"""The three things that Flower 1.41 has no public way for, and nothing else.

A test fails loudly on another version of Flower.
"""

from __future__ import annotations

from flwr.app import Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

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
