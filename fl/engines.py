"""Who runs the devices' ClientApps of this machine: this process or several, one device after another or many at once.

Every device is a Flower message, a ClientApp's call, a signature and a contribution of its own, in every engine. A
cohort computes the training of many devices in one go before their apps are called; each app then finds what is its
own (`prepared_training`). Worker processes give the very bits that the loop gives. A cohort adds up in another order:
what it gives is its own, and the record names it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from flwr.app import ArrayRecord, ConfigRecord, Context, Error, Message, MessageType
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode

from fl._flower_private import with_content
from fl.arrays import fork, from_record, record_named
from fl.cohort import Member, best_device, evaluate_cohort, train_stacked
from fl.devices import Device, device_of
from fl.training import THREADS, device_seed, load_model, with_threads
from twins.canonical import Json
from twins.model import TwinModel
from twins.updates import DeviceUpdate

Call = tuple[Message, Context]
"""A message, and the context of the node that it is for."""

_THREAD = Lock()  # devices share one network, and torch's global generator

Replied = Callable[[int], None]
"""Told the node id when a node has replied."""


Check = Callable[[Message], DeviceUpdate | None]
"""A reply to the update that was verified in it; None where there is none. It can be pickled."""

_CHECK: ContextVar[Check | None] = ContextVar("check", default=None)


@contextmanager
def checked_by(check: Check) -> Iterator[None]:
    """Let an engine with processes of its own check replies there, where nobody waits for them."""
    token = _CHECK.set(check)
    try:
        yield
    finally:
        _CHECK.reset(token)


def check_of_caller() -> Check | None:
    """Return what `checked_by` has set."""
    return _CHECK.get()


class Engine(Protocol):
    """Runs ClientApps."""

    @property
    def facts(self) -> dict[str, Json]:
        """What a record says of it: all that its results' bits depend on."""

    @property
    def at_once(self) -> int:
        """How many stations' calls it can well be given at the same time, from as many threads."""

    def start(self) -> None:
        """Start what takes time to start; without it, the first run does."""

    def run(self, app: ClientApp, calls: Sequence[Call], replied: Replied) -> list[Message]:
        """Call the app once for every message; what a node raises is an error reply.

        Returns:
            The replies, in the order of the calls.

        Raises:
            EngineError: the engine itself has failed.
        """

    def close(self) -> None:
        """Let go of what it has started."""


@dataclass(frozen=True)
class Trained:
    """What came of one device's training.

    Attributes:
        model: the weights.
        loss: mean of the last epoch.
    """

    model: TwinModel
    loss: float


@dataclass(frozen=True)
class LocalEngine:
    """Runs everything in this thread.

    Attributes:
        cohort: devices that are trained at once; 1 for one after another.
        threads: of torch.
    """

    cohort: int = 1
    threads: int = THREADS

    @property
    def facts(self) -> dict[str, Json]:
        """See `Engine`."""
        named: dict[str, Json] = {"engine": "in-process", "threads": self.threads}
        return named if self.cohort == 1 else {**named, "engine": "cohort", "cohort": self.cohort}

    @property
    def at_once(self) -> int:
        """See `Engine`: the devices of this process share a network, and torch's generator."""
        return 1

    def start(self) -> None:
        """Nothing is to be started."""

    def run(self, app: ClientApp, calls: Sequence[Call], replied: Replied) -> list[Message]:
        """See `Engine`."""
        with _THREAD, with_threads(self.threads):
            return self._run(app, calls, replied)

    def _run(self, app: ClientApp, calls: Sequence[Call], replied: Replied) -> list[Message]:
        replies = []
        for begin in range(0, len(calls), self.cohort):
            part = calls[begin : begin + self.cohort]
            with _together(part) if self.cohort > 1 else nullcontext():
                for message, context in part:
                    replies.append(call(app, message, context))
                    if not replies[-1].has_error():
                        replied(message.metadata.dst_node_id)
        return replies

    def close(self) -> None:
        """Nothing was started."""


def call(app: ClientApp, message: Message, context: Context) -> Message:
    """Call an app as a SuperNode does: whatever it raises is its reply."""
    try:
        reply = app(with_content(message, fork(message.content)), context)
        # A function without a return; or a kind of its own, which might pass for one that was verified already.
        if type(reply) is not Message:
            raise TypeError(f"expected the ClientApp to return a Message, got {type(reply).__name__}")
    except Exception as error:
        node = message.metadata.dst_node_id
        logging.getLogger(__name__).debug("node %d raised", node, exc_info=error)
        reason = f"{type(error).__name__}: {error}"
        return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)
    return reply


_Key = tuple[int, int, float, int]
"""Device, seed, weight of FedProx's term, identity of the base."""

_TRAINED: ContextVar[dict[_Key, Trained]] = ContextVar("trained")
_TESTED: ContextVar[dict[tuple[int, int], tuple[int, float]]] = ContextVar("tested")


def prepared_training(index: int, seed: int, proximal_mu: float, base: TwinModel) -> Trained | None:
    """Return what a cohort has computed already of exactly this training: None if it hasn't."""
    return _TRAINED.get({}).get((index, seed, proximal_mu, id(base)))


def prepared_test(index: int, model: TwinModel) -> tuple[int, float] | None:
    """Return (correct, loss) if a cohort has tested this model on this device's data: None if it hasn't."""
    return _TESTED.get({}).get((index, id(model)))


@contextmanager
def _together(calls: Sequence[Call]) -> Iterator[None]:
    """Compute for all at once what their apps are going to ask for.

    Whatever can't be read here is left to the app itself, which says what is wrong.
    """
    training: dict[tuple[int, float], list[tuple[Device, int, TwinModel]]] = {}
    testing: dict[int, list[tuple[Device, TwinModel]]] = {}
    for message, context in calls:
        try:
            device = device_of(context.node_config)
            base = from_record(record_named(message.content, "arrays", ArrayRecord))
            if message.metadata.message_type == MessageType.EVALUATE:
                testing.setdefault(id(base), []).append((device, base))
            elif message.metadata.message_type == MessageType.TRAIN:
                seed, proximal_mu = training_of(message, device)
                training.setdefault((id(base), proximal_mu), []).append((device, seed, base))
        except Exception as error:
            logging.getLogger(__name__).debug("left to its app", exc_info=error)
    trained: dict[_Key, Trained] = {}
    for (_, proximal_mu), jobs in training.items():
        trained |= _train(jobs, proximal_mu)
    tested: dict[tuple[int, int], tuple[int, float]] = {}
    for tests in testing.values():
        network, model = tests[0][0].network, tests[0][1]
        load_model(network, model)
        results = evaluate_cohort(network, [device.testing for device, _ in tests])
        tested |= {(device.index, id(model)): result for (device, _), result in zip(tests, results, strict=True)}
    tokens = _TRAINED.set(trained), _TESTED.set(tested)
    try:
        yield
    finally:
        _TRAINED.reset(tokens[0])
        _TESTED.reset(tokens[1])


def _train(jobs: Sequence[tuple[Device, int, TwinModel]], proximal_mu: float) -> dict[_Key, Trained]:
    first, _, base = jobs[0]
    load_model(first.network, base)
    members = [Member(device.training, seed) for device, seed, _ in jobs]
    stacked, places, means = train_stacked(
        first.task, first.network, members, proximal_mu=proximal_mu, device=best_device()
    )
    weights = {name: tensor.numpy() for name, tensor in stacked.items()}
    return {
        (device.index, seed, proximal_mu, id(base)): Trained(
            TwinModel({name: array[place] for name, array in weights.items()}), means[place]
        )
        for (device, seed, _), place in zip(jobs, places, strict=True)
    }


def training_of(message: Message, device: Device) -> tuple[int, float]:
    """Return what a message asks of a device's training: its seed, and the weight of FedProx's term."""
    config = record_named(message.content, "config", ConfigRecord)
    seed = device_seed(int(config["seed"]), int(config["server-round"]), device.index)  # type: ignore[arg-type]
    return seed, float(config.get("proximal-mu", 0.0))  # type: ignore[arg-type]
