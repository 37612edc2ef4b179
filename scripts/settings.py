"""What a run is: everything that changes its result, and what no chain could make good of it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from chain.station import Windows
from fl.datasets import get
from fl.station_trainer import deal
from fl.strategies import StrategySpec
from scripts.cli import BadInputError
from twins.aggregation import Rule, function_of, rule_of
from twins.canonical import Json
from twins.errors import AggregationError
from twins.manifest import TwinPolicy
from twins.model import TwinModel
from twins.types import twin_id

MAX_STATIONS = 64
"""Of the registry: an electorate is a bit set of 64."""

MAX_WINDOW = 2**24 - 1
"""Seconds, of the ledger: a window is a uint24, 194 days."""

MAX_GRACE = 2**8 - 1
"""Seconds, of the registry: a grace is a uint8."""

MAX_STALENESS = 2**32 - 1
"""Rounds: their numbers are uint32."""

MAX_SEED = 2**53 - 1
"""Manifests are canonical JSON, whose integers end here (RFC 8785, section 3.2.2.3)."""


FRESH_ENOUGH = 3
"""Rounds: how stale a late update may be and still count, unless the twin says otherwise."""


@dataclass(frozen=True)
class RunSettings:
    """What a run is: everything that changes its result.

    Attributes:
        twin: name of the twin.
        dataset: name in the registry, or ``module:attribute``.
        split: of the data set.
        stations: how many.
        devices: how many in all.
        strategy: Flower strategy of tier 1.
        strategy_arguments: ``NAME=VALUE`` for its constructor.
        seed: of the genesis model, of training and of the devnet's device keys.
        windows: of the rounds.
        merge_rule: of tier 2, by its short name.
        merge_arguments: ``NAME=VALUE`` for it.
        policy: what a station takes from a device, and the consortium from a station.
        dp: kind of differential privacy at tier 1, or None.
        dp_arguments: ``NAME=VALUE`` for it.
    """

    twin: str = "watch"
    dataset: str = "watch"
    split: str = "temporal"
    stations: int = 3
    devices: int = 10
    strategy: str = "FedAvg"
    strategy_arguments: Sequence[str] = ()
    seed: int = 0
    windows: Windows = field(default_factory=Windows)
    merge_rule: str = "weighted-mean"
    merge_arguments: Sequence[str] = ()
    policy: TwinPolicy = field(default_factory=lambda: TwinPolicy(None, FRESH_ENOUGH, sealed=True))
    dp: str | None = None
    dp_arguments: Sequence[str] = ()


def require_possible(settings: RunSettings) -> None:
    """Refuse settings that no chain can make good, before anything is started, written or sent.

    Raises:
        FlError: unknown data set, split or strategy, too many devices, more stations than devices.
        AggregationError: unknown merge rule, or arguments that it doesn't take.
        FormatError, BadInputError: a name, number, seed or window that can't be recorded or can't work.
    """
    _require_between("--stations", settings.stations, 1, MAX_STATIONS)
    _require_between("--seed", settings.seed, 0, MAX_SEED)
    windows = settings.windows
    for option, seconds in {"--submit-window": windows.submit_for, "--attest-window": windows.attest_for}.items():
        if not 1 <= seconds <= MAX_WINDOW:
            raise BadInputError(f"{option}: expected 1 to {MAX_WINDOW} seconds, got {seconds}")
    _require_between("--open-grace", windows.open_grace, 1, MAX_GRACE)
    _require_between("--max-staleness", settings.policy.max_staleness, 0, MAX_STALENESS)
    norm = settings.policy.max_update_norm
    if norm is not None and not (norm > 0 and math.isfinite(norm)):
        raise BadInputError(f"--max-norm: expected a number above 0, got {norm}")
    if settings.dp is not None and not settings.policy.sealed:
        # Whoever knows the noise can take it off again, and it is recorded beside the updates.
        raise BadInputError("--dp: expected --sealed with it, got --open, which publishes the noise")
    if settings.dp is None and settings.dp_arguments:
        raise BadInputError("--dp-arg: expected --dp with it, got none")
    twin_id(settings.twin)
    least = least_updates(settings)
    _require_between("--min-updates", windows.min_updates, least, settings.stations)
    spec = strategy_of(settings)
    get(settings.dataset).load(settings.split, settings.devices)
    for part in deal(settings.devices, settings.stations):
        spec.require_devices(len(part))


def strategy_of(settings: RunSettings) -> StrategySpec:
    """Return the strategy of tier 1.

    Raises:
        StrategyError: unknown, or arguments that it doesn't take.
    """
    return StrategySpec.parse(settings.strategy, settings.strategy_arguments, settings.dp, settings.dp_arguments)


def merge_rule_of(settings: RunSettings) -> Rule:
    """Return the rule of tier 2.

    Raises:
        AggregationError: unknown, or arguments that it doesn't take.
    """
    return rule_of(settings.merge_rule, assignments("--merge-arg", settings.merge_arguments))


def with_least_updates(settings: RunSettings) -> RunSettings:
    """Ask for as many station updates as the merge rule needs; the same settings, if it is no such rule.

    `require_possible` says what is wrong with them.
    """
    try:
        least = least_updates(settings)
    except (AggregationError, BadInputError):
        least = 1
    return replace(settings, windows=replace(settings.windows, min_updates=least))


def least_updates(settings: RunSettings) -> int:
    """Return how many station updates the merge rule needs, at least.

    Raises:
        AggregationError: more than there are stations, or no such rule.
    """
    merge = function_of(merge_rule_of(settings))
    probe = TwinModel({"probe": np.zeros(1, np.float32)})
    for count in range(1, settings.stations + 1):
        try:
            merge([(probe, 1)] * count)
        except AggregationError:
            if count == settings.stations:
                raise
            continue
        return count
    raise BadInputError(f"--stations: expected 1 to {MAX_STATIONS}, got {settings.stations}")


def assignments(option: str, texts: Sequence[str]) -> dict[str, Json]:
    """Read ``NAME=VALUE``; values are JSON (``0.1``, ``true``), anything else a text.

    Raises:
        BadInputError: no pair, or a name twice.
    """
    values: dict[str, Json] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals) or name in values:
            raise BadInputError(f"{option} {text!r}: expected NAME=VALUE, each name once")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values


def task_of(settings: RunSettings, spec: StrategySpec) -> dict[str, object]:
    """Return what a twin's manifest says of its task: who continues the twin continues this."""
    task: dict[str, object] = {
        "dataset": settings.dataset,
        "split": settings.split,
        "devices": settings.devices,
        "stations": settings.stations,
        "strategy": spec.name,
        "strategy_arguments": dict(spec.arguments),
        "seed": settings.seed,
    }
    if settings.dp is not None:
        task["privacy"] = {"kind": settings.dp, "arguments": assignments("--dp-arg", settings.dp_arguments)}
    return task


def _require_between(option: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise BadInputError(f"{option}: expected {least} to {most}, got {value}")
