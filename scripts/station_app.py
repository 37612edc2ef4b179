"""A station as Flower's ServerApp: its devices are SuperNodes, its SuperLink starts it, the chain is read as always.

The run's configuration names one file on the station's machine (``station``, see `StationFile`); without it nothing is
recorded (`fl.unrecorded`), as in Flower's simulation. There is one run for a whole life of the station, not one for
each round: it follows the twin from where the chain is, so it may be killed at any moment and started again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any

from chain.enrolment import enrol_devices, enrol_nodes, nodes_of
from chain.errors import RecordError
from devnet.tied import die_with_parent
from fl.deployed import Connected, Exchange, Patience, SuperLink
from fl.engines import Engine
from fl.server_app import server_app
from fl.station_trainer import Membership, node_of
from fl.unrecorded import learn_unrecorded
from scripts.cli import BadInputError
from scripts.flower import register, unregister
from scripts.home import write_atomically
from scripts.node_files import NodeFile, key_digest, load_nodes, nodes_of_files
from scripts.signals import TERMINATED
from scripts.station_run import StationOptions, StationPlan, be_station
from scripts.told import Tell, Told
from twins.types import Address, Digest


@dataclass(frozen=True)
class StationFile:
    """What a station's ServerApp is told, in a file of its machine.

    Attributes:
        options: as of `scripts.station_run`.
        nodes: folder with a file of each device (`scripts.node_files`).
        told: file for its lines.
        flower: Flower's own folder, with the connection to the station's SuperLink.
        gather: seconds to wait for a device that isn't connected, once.
        deadline: seconds to wait for a device's reply.
    """

    options: StationOptions
    nodes: Path
    told: Path
    flower: Path
    gather: float = Patience.gather
    deadline: float = Patience.deadline

    def save(self, file: Path) -> None:
        """Write it; paths are absolute in it, for Flower chooses where its apps run."""
        body = asdict(self)
        write_atomically(file, json.dumps(body, indent=1, default=lambda path: str(Path(path).resolve())) + "\n")

    @classmethod
    def load(cls, file: Path) -> StationFile:
        """Read it.

        Raises:
            BadInputError: not as `save` wrote it.
        """
        try:
            body = json.loads(file.read_text(encoding="utf-8"))
            options = StationOptions(**_typed(StationOptions, body.pop("options")))
            return cls(options=options, **_typed(cls, body))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise BadInputError(
                f"station file {file}: expected what scripts/federation.py wrote, got {error}"
            ) from error


def _typed(kind: type, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with paths and tuples for JSON's texts and lists."""
    types = {one.name: str(one.type) for one in fields(kind)}
    values: dict[str, Any] = {}
    for name, value in body.items():
        if types[name].startswith("Path") and value is not None:
            values[name] = Path(value)
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    return values


class Admission:
    """Who may take part: what the chain names, held against who is connected, before every message.

    Stops whoever got a key into the SuperLink without the chain: he is given no model, counts for no device, and his
    node is unregistered.
    """

    def __init__(
        self, plan: StationPlan, files: tuple[NodeFile, ...], link: SuperLink, flower: Path, tell: Tell
    ) -> None:
        """Take over what the station has; nothing is asked yet."""
        self._plan, self._link, self._flower, self._tell = plan, link, flower, tell
        self._places = {one.node.device: node_of(one.index) for one in files}
        self._keys = {one.node.key: one.public_key for one in files}
        self._named: tuple[tuple[Digest, Digest], dict[Digest, Address]] | None = None

    def locate(self) -> dict[int, Connected]:
        """Return who is connected and may be.

        Raises:
            BadInputError: the station's roster was changed: it has to start anew, with its new devices.
            ChainError, TwinsError: the chain or the manifest can't be read.
        """
        named, found = self._names(), {}
        for public_key, at in self._link.connected().items():
            try:
                device = named.get(key_digest(public_key))
            except ValueError:
                device = None
            if device is None:
                self._cut_off(at.node)
            else:
                found[self._places[device]] = at
        return found

    def _cut_off(self, node: int) -> None:
        why = f"node {node} isn't named on the chain: cut off"
        try:
            unregister(self._flower, node)
        except BadInputError as error:  # it is left out all the same
            why = f"node {node} isn't named on the chain, but can't be cut off: {error}"
        self._tell(Told("cut off", None, why, {"node": str(node), "why": why}))

    def _names(self) -> dict[Digest, Address]:
        """Return devices by the digests of their nodes' keys; what they stand behind is fetched when it has changed."""
        registry, station = self._plan.network.registry, self._plan.account.address
        state = registry.nodes_of(station), registry.station_of(station).roster_root
        if self._named is None or self._named[0] != state:
            try:
                nodes = nodes_of(registry, self._plan.archive, self._plan.network.domain, station, self._places)
            except RecordError as error:
                raise BadInputError(f"{error}; the station has to be started anew") from error
            register(self._flower, [self._keys[node.key] for node in nodes if node.key in self._keys])
            self._named = state, {node.key: node.device for node in nodes}
        return self._named[1]


class DeployedDevices:
    """Devices on other machines, each with a file of its owner's."""

    def __init__(self, folder: Path) -> None:
        """Read their files.

        Raises:
            BadInputError: as `load_nodes`.
        """
        self.files = load_nodes(folder)

    def members(self, plan: StationPlan) -> Membership:
        """Return them, and have the chain name them and their nodes.

        Raises:
            BadInputError: an index that the twin's data set doesn't have.
            ManifestError, SignatureError: a statement that isn't its device's.
        """
        if (last := self.files[-1].index) >= plan.settings.devices:
            raise BadInputError(f"devices: expected indices from 0 to {plan.settings.devices - 1}, got {last}")
        accounts = tuple(one.node.device for one in self.files)
        enrol_devices(plan.network.registry, plan.account, tuple(sorted(accounts, key=str.lower)))
        enrol_nodes(plan.network.registry, plan.archive, plan.network.domain, plan.account, nodes_of_files(self.files))
        plan.network.chain.settle()
        return Membership(tuple(one.index for one in self.files), accounts=accounts)


def serve(link: SuperLink, config: Mapping[str, object]) -> None:
    """Be the station that the run's configuration names; `fl.server_app.Main`."""
    _end_with_superlink()
    file = str(config.get("station", ""))
    if not file:
        print("no station is named in the run's configuration: learning, without a record of it")
        learn_unrecorded(link, config, print)
        return
    station = StationFile.load(Path(file))
    with _alone(Path(file).with_suffix(".lock")), station.told.open("a", encoding="utf-8") as lines:
        tell = _teller(lines)

        @contextmanager
        def engine(plan: StationPlan) -> Iterator[Engine]:
            admission = Admission(plan, devices.files, link, station.flower, tell)
            yield link.engine(admission.locate, Patience(station.gather, station.deadline), _exchange_told(tell))

        try:
            devices = DeployedDevices(station.nodes)
            be_station(station.options, devices, engine, tell)
        except Exception as error:  # Flower's own log of it is in the SuperLink's database, for who asks it
            tell(Told("failed", None, str(error), {"why": f"{type(error).__name__}: {error}"}))
            raise


def _exchange_told(tell: Tell) -> Callable[[Exchange], None]:
    def told(exchange: Exchange) -> None:
        words = f"{exchange.kind}: {exchange.answered} of {exchange.asked} devices in {exchange.last:.1f} s"
        tell(Told("devices", None, words, asdict(exchange)))

    return told


def _end_with_superlink() -> None:
    """Let this process be killed when Flower's SuperExec, which started it, is gone.

    Flower asks it to end by SIGINT, which a thread that waits for a chain doesn't hear; and a station without its
    SuperLink must not go on voting beside the one that takes its place.
    """
    parent = os.getppid()
    die_with_parent()
    if os.getppid() != parent:
        os._exit(TERMINATED)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold a station's lock: two runs with one account would vote against each other.

    Raises:
        BadInputError: another run has it. It is free as soon as that one is gone, whatever ended it.
    """
    with file.open("a", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInputError(f"{file}: expected this station's only run, got another that still runs") from error
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield


def _teller(stream: IO[str]) -> Tell:
    def tell(told: Told) -> None:
        print(json.dumps(told.to_json(), ensure_ascii=False, allow_nan=False), file=stream, flush=True)

    return tell


app = server_app(serve)
