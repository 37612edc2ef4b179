"""Updates: what a device sends to its station, what a station makes of them, and what the record holds of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from twins.aggregation import Rule
from twins.canonical import Json
from twins.device_update import DeviceUpdate as DeviceUpdate
from twins.entries import ContributionIndex as ContributionIndex
from twins.entries import Entry as Entry
from twins.entries import Rejection as Rejection
from twins.entries import RejectionReason as RejectionReason
from twins.entries import contributions_tree as contributions_tree
from twins.entries import device_order as device_order
from twins.entries import one_line as one_line
from twins.entries import roster_tree as roster_tree
from twins.model import TwinModel
from twins.payloads import NOISE as NOISE
from twins.payloads import decode_payloads as decode_payloads
from twins.payloads import encode_payloads as encode_payloads
from twins.types import Address, Digest


@dataclass(frozen=True)
class StationUpdate:
    """What one station made of its devices' updates in one training.

    Attributes:
        station: its account.
        round: for which round the devices trained.
        base: manifest digest of the model that was trained on.
        model: the tier-1 aggregate.
        updates: the devices' updates behind it, strictly ascending by `device_order`.
        rejections: the other devices of the roster and why they aren't in ``updates``, strictly ascending.
        rule: how they were aggregated.
        examples: sum over the updates.
        metrics: what the station measured (it may lie; the audit says what it can recompute).
        engine: what computed it: versions, threads, seed.
        noise: `NOISE` bytes that seed the rule's noise; empty when it draws none.
    """

    station: Address
    round: int
    base: Digest
    model: TwinModel
    updates: tuple[DeviceUpdate, ...]
    rejections: tuple[Rejection, ...]
    rule: Rule
    examples: int
    metrics: Mapping[str, Json]
    engine: Mapping[str, Json]
    noise: bytes


@dataclass(frozen=True)
class RecordedRound:
    """What the record holds of one station's training for one round: enough to aggregate again.

    Attributes:
        round: for which the devices trained.
        base: what they trained on.
        updates: the devices', ascending.
        rule: how they were aggregated.
        noise: seed of the rule's noise; empty without any.
    """

    round: int
    base: TwinModel
    updates: tuple[DeviceUpdate, ...]
    rule: Rule
    noise: bytes


class History(Protocol):
    """A station's recorded rounds, oldest first."""

    @property
    def rounds(self) -> tuple[int, ...]:
        """Their numbers, at no cost."""

    def load(self) -> Iterator[RecordedRound]:
        """Fetch them."""


class Tier1Replay(Protocol):
    """Aggregates a station's recorded updates again.

    Called in round order for each station, because some rules carry state from round to round.
    """

    def __call__(
        self,
        *,
        station: Address,
        round: int,
        rule: Rule,
        base: TwinModel,
        updates: Sequence[DeviceUpdate],
        noise: bytes,
    ) -> TwinModel:
        """Return the model that ``rule`` makes of ``updates``, trained for ``round``."""


def update_norm(update: TwinModel, base: TwinModel) -> float:
    """Return how far training has moved a model: the L2 norm of the difference over all parameters.

    The sum is exact before it is rounded (`math.fsum`), so that all machines decide alike at a bound.

    Raises:
        SchemaError: models of different shapes.
    """
    update.require_schema(base.schema(), "update")
    squares = (
        np.square(update.tensors[name].astype(np.float64) - base.tensors[name].astype(np.float64)).ravel().tolist()
        for name in base.tensors
    )
    return math.sqrt(math.fsum(square for tensor in squares for square in tensor))
