"""A run whose stations are processes: what to start, and what their rounds were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Protocol, Self

from fl.station_trainer import Evaluation, deal
from scripts.connections import Network, Reach
from scripts.home import write_atomically
from scripts.round_watch import FinalRound, RoundWatch, evaluation_of
from scripts.settings import RunSettings
from scripts.station_processes import StationCommand
from twins.archive import Archive
from twins.types import Address, Digest, twin_id

_POLL = 0.2  # seconds
_FAREWELL = 30.0  # seconds that stations may take to see that the last round is final


@dataclass(frozen=True)
class ProcessRound:
    """One round that became final.

    Attributes:
        final: what the chain says.
        evaluation: of the new head on the devices of the stations that tested it.
        seconds: since the round before became final, or since the start.
    """

    final: FinalRound
    evaluation: Evaluation
    seconds: float


class Processes(Protocol):
    """A run's stations as processes; a context manager that leaves none behind."""

    def __enter__(self) -> Self:
        """Start all."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """End all."""

    @property
    def stations(self) -> tuple[Address, ...]:
        """Accounts of all, by index."""

    @property
    def running(self) -> tuple[Address, ...]:
        """Accounts of those that run."""

    def told(self) -> list[tuple[Address, dict[str, Any]]]:
        """Return what the stations said since the last call, each with its station's account."""

    def tend(self) -> None:
        """Start those again that died."""


@dataclass(frozen=True)
class Signer:
    """How a station's process comes to its key.

    Attributes:
        address: of the account.
        options: of ``scripts/station.py``.
    """

    address: Address
    options: tuple[str, ...]


def station_commands(
    settings: RunSettings,
    reach: Reach,
    network: Network,
    until: int,
    signers: Sequence[Signer],
    device_keys: Sequence[Path],
    extra: Sequence[str] = (),
) -> list[StationCommand]:
    """Return what to start, each station with its own nodes first.

    Args:
        settings: of the twin.
        reach: of this command.
        network: the consortium.
        until: round at which the stations stop.
        signers: by station.
        device_keys: of all devices.
        extra: more options for each.
    """
    urls, endpoints = reach.urls(), reach.endpoints()
    folder = reach.home.path / "stations"
    commands = []
    for index, (signer, part) in enumerate(zip(signers, deal(settings.devices, settings.stations), strict=True)):
        name = f"station-{index + 1}"
        options = ["--twin", settings.twin, "--rounds", str(until), "--home", str(reach.home.path), *signer.options]
        options += ["--devices", ",".join(map(str, part))]
        for device in part:
            options += ["--device-keys", str(device_keys[device])]
        options += ["--rpc", ",".join(own_first(urls, index))]
        options += ["--confirmations", str(network.chain.confirmations), "--patience", str(network.chain.patience)]
        if endpoints:
            own = own_first(endpoints, index)
            tokens = write_tokens(folder / f"{name}.tokens", own)
            options += [word for url, _ in own for word in ("--ipfs", url)]
            options += ["--ipfs-tokens", str(tokens), "--replicas", str(reach.copies(len(endpoints)))]
        for code in (settings.dataset, settings.strategy):
            if ":" in code:
                options += ["--trust", code]
        commands.append(StationCommand(name, signer.address, (*options, *extra)))
    return commands


def own_first(nodes: Sequence[Any], index: int) -> list[Any]:
    """Return nodes with a station's own as the first."""
    first = index % len(nodes)
    return [*nodes[first:], *nodes[:first]]


def write_tokens(file: Path, endpoints: Sequence[tuple[str, str | None]]) -> Path:
    """Write the bearer tokens of IPFS nodes where only their owner can read them; return the file."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(file, "\n".join(token or "" for _, token in endpoints) + "\n")
    return file


def run_processes(
    processes: Processes,
    network: Network,
    archive: Archive,
    settings: RunSettings,
    until: int,
    notice: Callable[[str], None],
    warn: Callable[[str], None],
) -> Iterator[ProcessRound]:
    """Let the stations bring the twin's head to round ``until``; yield each round when it is settled.

    Args:
        processes: that are started, and have been ended when this is over.
        network: the consortium.
        archive: where artifacts are.
        settings: of the twin.
        until: round of the head.
        notice: told what is going on, for a progress bar.
        warn: told what goes wrong.

    Raises:
        DevnetError: no station can be started any more.
        ChainError, TwinsError: the chain or the artifacts can't be read.
    """
    twin = twin_id(settings.twin)
    watch = RoundWatch(network, archive, twin)
    tested: dict[Digest, dict[Address, Evaluation]] = {}
    queue: list[tuple[FinalRound, float]] = []
    reached, clock, said = network.ledger.head(twin).number, perf_counter(), set[str]()
    if reached >= until:
        return
    with processes:
        order = processes.stations
        while reached < until:
            processes.tend()
            for station, line in processes.told():
                _hear(station, line, tested, said, notice, warn)
            queue += [(final, perf_counter()) for final in watch.look()]
            while queue and (evaluation := _tested(queue, tested, watch, processes.running, order)) is not None:
                final, at = queue.pop(0)
                yield ProcessRound(final, evaluation, at - clock)
                reached, clock = final.number, at
            network.chain.sleep(_POLL)
        notice("waiting until every station has seen the last round")
        deadline = perf_counter() + _FAREWELL
        while processes.running and perf_counter() < deadline:
            network.chain.sleep(_POLL)


def _hear(
    station: Address,
    line: Mapping[str, Any],
    tested: dict[Digest, dict[Address, Evaluation]],
    said: set[str],
    notice: Callable[[str], None],
    warn: Callable[[str], None],
) -> None:
    event, why = line.get("event"), str(line.get("why", ""))
    if event == "head" and line.get("evaluation"):
        with suppress(ValueError, TypeError, KeyError):
            tested.setdefault(Digest(line["model"]), {})[station] = evaluation_of(line["evaluation"])
    elif event in ("refused", "failed", "waiting") and why not in said:
        said.add(why)  # all stations wait for the same ones
        warn(why if event == "waiting" else f"station {station}: {why}")
    elif event in ("opened", "submitted", "attested", "aborted"):
        notice(f"round {line.get('round')}: {event} by station {station[:10]}…")


def _tested(
    queue: Sequence[tuple[FinalRound, float]],
    tested: Mapping[Digest, Mapping[Address, Evaluation]],
    watch: RoundWatch,
    running: Sequence[Address],
    order: Sequence[Address],
) -> Evaluation | None:
    """Return how good the first of the queue's models is, or None while stations still test it."""
    parts = tested.get(queue[0][0].model, {})
    if parts and set(running) <= set(parts):
        # In the stations' order, as a run in one process has it: sums of floats depend on it.
        return Evaluation.total(parts[station] for station in order if station in parts)
    if len(queue) > 1:  # somebody is slow or dead: what the next round's stations recorded has to do
        return watch.evaluation(queue[1][0].model)
    return None
