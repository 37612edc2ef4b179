"""Replay: aggregate a station's recorded updates again, bit for bit, for an auditor."""

from __future__ import annotations

from collections.abc import Sequence

from fl.errors import FlError
from fl.strategies import spec_of
from fl.tier1 import Aggregator
from twins.aggregation import Rule
from twins.errors import AggregationError
from twins.model import TwinModel
from twins.types import Address
from twins.updates import DeviceUpdate


class Replayer:
    """Implements `twins.updates.Tier1Replay`; keeps one aggregator per station and rule."""

    def __init__(self, trusted: Sequence[str] = ()) -> None:
        """Begin without state.

        Args:
            trusted: strategies ``module:Class`` whose code may be imported and run.
        """
        self._trusted = tuple(trusted)
        self._aggregators: dict[tuple[Address, str], Aggregator] = {}

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
        """Return the model that ``rule`` makes of ``updates`` and ``noise``.

        Raises:
            AggregationError: a rule that can't be replayed here, or updates it can't aggregate. A rule with state
                then goes on as from its first round.
        """
        try:
            spec = spec_of(rule, self._trusted)
            key = (station, f"{rule} {sorted(rule.parameters.items())}")
            if key not in self._aggregators:
                self._aggregators[key] = Aggregator(spec, rule)
            return self._aggregators[key].aggregate(round, base, updates, noise)
        except (FlError, AggregationError) as error:
            raise AggregationError(f"tier 1 of round {round}, station {station}: {error}") from error
