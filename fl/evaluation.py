"""How good a model is: what devices count on their own test data, added up."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flwr.app import Message, MetricRecord

from fl.arrays import record_named
from fl.errors import EngineError
from twins.canonical import Json
from twins.types import Address

MAX_EXAMPLES = 2**32
"""That one device may claim: sums over all devices of a twin then stay whole numbers in JSON and in float64."""


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on test data.

    Attributes:
        correct: examples classified correctly.
        examples: in all.
        loss: mean over the examples.
    """

    correct: int
    examples: int
    loss: float

    @property
    def accuracy(self) -> float:
        """Share of correct examples; 0 without examples."""
        return self.correct / self.examples if self.examples else 0.0

    @classmethod
    def total(cls, parts: Iterable[Evaluation]) -> Evaluation:
        """Sum up devices or stations."""
        listed = list(parts)
        examples = sum(part.examples for part in listed)
        loss = sum(part.loss * part.examples for part in listed) / examples if examples else 0.0
        return cls(sum(part.correct for part in listed), examples, loss)

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON values."""
        return {"correct": self.correct, "examples": self.examples, "loss": self.loss}


def total_of(replies: Iterable[Message], accounts: Mapping[int, Address]) -> Evaluation:
    """Add up the devices that have tested a model; say the others in the log.

    Args:
        replies: one per node.
        accounts: node id to device.

    Raises:
        EngineError: none has; each is named with what it said.
    """
    parts, failed = [], []
    for reply in replies:
        device = accounts[reply.metadata.src_node_id]
        try:
            parts.append(_evaluation(reply))
        except EngineError as error:
            failed.append(f"device {device} {error}")
    if not parts:
        raise EngineError(f"expected one device at least to test the model, got none: {'; '.join(failed)}")
    for failure in failed:
        logging.getLogger(__name__).warning("%s; tested without it", failure)
    return Evaluation.total(parts)


def _evaluation(reply: Message) -> Evaluation:
    if reply.has_error():
        raise EngineError(f"did not evaluate: {reply.error.reason}")
    try:
        metrics = record_named(reply.content, "metrics", MetricRecord)
        correct, examples, loss = metrics["correct"], metrics["num-examples"], metrics["loss"]
    except Exception as error:  # a stranger's bytes
        raise EngineError(f"did not evaluate: {type(error).__name__}: {error}") from error
    if type(correct) is not int or type(examples) is not int or not 0 <= correct <= examples <= MAX_EXAMPLES:
        raise EngineError(f"did not evaluate: expected so many correct of so many, got {correct!r} of {examples!r}")
    if type(loss) is not float or not math.isfinite(loss):
        raise EngineError(f"has a loss of {loss!r}: the model has diverged, or the device lies; use smaller steps")
    return Evaluation(correct, examples, loss)
