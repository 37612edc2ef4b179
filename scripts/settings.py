"""What a run is: everything that changes its result, and what no chain could make good of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chain.station import Windows
from fl.datasets import get
from fl.station_trainer import deal
from fl.strategies import StrategySpec
from scripts.cli import BadInputError
from twins.types import twin_id

MAX_STATIONS = 64
"""Of the registry: an electorate is a bit set of 64."""

MAX_WINDOW = 2**24 - 1
"""Seconds, of the ledger: a window is a uint24, 194 days."""

MAX_SEED = 2**53 - 1
"""Manifests are canonical JSON, whose integers end here (RFC 8785, section 3.2.2.3)."""


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


def require_possible(settings: RunSettings) -> None:
    """Refuse settings that no chain can make good, before anything is started, written or sent.

    Raises:
        FlError: unknown data set, split or strategy, too many devices, more stations than devices.
        FormatError, BadInputError: a name, number of stations, seed or window that can't be recorded.
    """
    if not 1 <= settings.stations <= MAX_STATIONS:
        raise BadInputError(f"--stations: expected 1 to {MAX_STATIONS}, got {settings.stations}")
    if not 0 <= settings.seed <= MAX_SEED:
        raise BadInputError(f"--seed: expected 0 to {MAX_SEED}, got {settings.seed}")
    windows = {"--submit-window": settings.windows.submit_for, "--attest-window": settings.windows.attest_for}
    for option, seconds in windows.items():
        if not 1 <= seconds <= MAX_WINDOW:
            raise BadInputError(f"{option}: expected 1 to {MAX_WINDOW} seconds, got {seconds}")
    twin_id(settings.twin)
    spec = StrategySpec.parse(settings.strategy, settings.strategy_arguments)
    get(settings.dataset).load(settings.split, settings.devices)
    for part in deal(settings.devices, settings.stations):
        spec.require_devices(len(part))


def task_of(settings: RunSettings, spec: StrategySpec) -> dict[str, object]:
    """Return what a twin's manifest says of its task: who continues the twin continues this."""
    return {
        "dataset": settings.dataset,
        "split": settings.split,
        "devices": settings.devices,
        "stations": settings.stations,
        "strategy": spec.name,
        "strategy_arguments": dict(spec.arguments),
        "seed": settings.seed,
    }
