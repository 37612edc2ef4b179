"""An in-process Flower `Grid`: calls the devices' ClientApps directly, without Ray and without a network.

Replies come back sorted by node, not in the order of arrival: that alone makes aggregation reproducible.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Mapping

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from fl._flower_private import identify_server, set_message_id, with_content
from fl.arrays import fork

Progress = Callable[[int], None]
"""Told the node id when a node has replied."""


class InProcessGrid(Grid):
    """Nodes of this process, one after another on this thread.

    Attributes:
        nodes: node id (from 2: 1 is the SuperLink's) to the node's configuration.
    """

    def __init__(
        self,
        app: ClientApp,
        nodes: Mapping[int, Mapping[str, str | int | float | bool]],
        *,
        run_id: int = 1,
        progress: Progress = lambda node: None,
    ) -> None:
        """Make a grid of ``nodes`` that all run ``app``."""
        self.nodes = dict(sorted(nodes.items()))
        self._app = app
        self._progress = progress
        self._run_id = run_id
        self._run: Run | None = None
        self._ids = itertools.count(1)
        self._replies: dict[str, Message] = {}
        self._contexts = {
            node: Context(run_id=run_id, node_id=node, node_config=dict(config), state=RecordDict(), run_config={})
            for node, config in self.nodes.items()
        }

    def set_run(self, run: Run) -> None:
        """Set the run that this grid works for."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run, an empty one until `set_run`."""
        return self._run or Run.create_empty(self._run_id)

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Create a message to a node."""
        identify_server(self._run_id)
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """Return the nodes, ascending."""
        identify_server(self._run_id)  # strategies ask this first and then create messages themselves
        return list(self.nodes)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Run every message's node; the replies wait for `pull_messages`.

        Returns:
            The messages' ids, in the order given.
        """
        ids = []
        for message in messages:
            identity = f"{self._run_id}-{next(self._ids)}"
            # Before the node runs: its reply copies this id.
            set_message_id(message, identity)
            self._replies[identity] = self._call(message)
            ids.append(identity)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies to these messages, each once, sorted by the node that sent them."""
        replies = [self._replies.pop(identity) for identity in message_ids if identity in self._replies]
        return sorted(replies, key=lambda reply: reply.metadata.src_node_id)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Run every message's node and return all replies, sorted by node.

        Args:
            messages: to nodes of this grid; any other node gives an error reply.
            timeout: without meaning here: a node in this process is never waited for.
        """
        return self.pull_messages(self.push_messages(messages))

    def _call(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        context = self._contexts.get(node)
        if context is None:
            return Message(Error(ErrorCode.NODE_UNAVAILABLE, f"no node {node} in this grid"), reply_to=message)
        request = with_content(message, fork(message.content))
        try:
            reply = self._app(request, context)
            if not isinstance(reply, Message):  # a function without a return
                raise TypeError(f"expected the ClientApp to return a Message, got {type(reply).__name__}")
        except Exception as error:  # as a SuperNode does: whatever a ClientApp raises is its reply
            logging.getLogger(__name__).debug("node %d raised", node, exc_info=error)
            reason = f"{type(error).__name__}: {error}"
            return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)
        self._progress(node)
        return reply
