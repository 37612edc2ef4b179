"""An in-process Flower `Grid`: calls the devices' ClientApps directly, without a network.

Replies come back sorted by node, not in the order of arrival: that alone makes aggregation reproducible.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from fl._flower_private import identify_server, set_message_id
from fl.engines import Engine, LocalEngine

Progress = Callable[[int], None]
"""Told the node id when a node has replied."""


class InProcessGrid(Grid):
    """Nodes of this machine.

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
        engine: Engine | None = None,
    ) -> None:
        """Make a grid of ``nodes`` that all run ``app``.

        Args:
            app: the devices'.
            nodes: id to configuration.
            run_id: Flower's.
            progress: told the node id when a node has replied.
            engine: calls the apps; None for one after another on this thread.
        """
        self.nodes = dict(sorted(nodes.items()))
        self._app = app
        self._progress = progress
        self._engine = engine or LocalEngine()
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
        listed, calls = list(messages), []
        for message in listed:
            # Before the node runs: its reply copies this id.
            set_message_id(message, f"{self._run_id}-{next(self._ids)}")
            context = self._contexts.get(node := message.metadata.dst_node_id)
            if context is None:
                error = Error(ErrorCode.NODE_UNAVAILABLE, f"no node {node} in this grid")
                self._replies[message.metadata.message_id] = Message(error, reply_to=message)
            else:
                calls.append((message, context))
        replies = self._engine.run(self._app, calls, self._progress)
        for (message, _), reply in zip(calls, replies, strict=True):
            self._replies[message.metadata.message_id] = reply
        return [message.metadata.message_id for message in listed]

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
