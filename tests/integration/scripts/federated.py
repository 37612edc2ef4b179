"""A federation's programs on this machine, for tests: real SuperLinks, SuperNodes, keys, certificates and TLS."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from chain.ports import free_ports
from chain.station import Windows
from fl.deployed import Patience
from scripts import federation
from scripts.accounts import Accounts, devnet_accounts
from scripts.certificates import Authority, Certificate
from scripts.connections import Network, Reach
from scripts.federation_files import StationPlace
from scripts.federation_processes import FederationProcesses, Station
from scripts.home import Home
from scripts.session import enrol
from scripts.settings import FRESH_ENOUGH, RunSettings
from tests.integration.scripts.commands import TINY, Place
from twins.archive import Archive
from twins.manifest import TwinPolicy
from twins.types import twin_id

SECONDS = 400.0  # against a hang: after a kill Flower takes a node for connected for a minute, more than once here
FLOWERS = ("flower-superlink", "flower-supernode", "flower-superexec", "flwr-serverapp", "flwr-clientapp", "flwr")
OURS = ("warm_clientapp.py", "fleet_gate.py")


def tiny_settings(stations: int, devices: int) -> RunSettings:
    """The tiny twin, as `TINY` has it but for the number of devices."""
    return RunSettings(
        twin="tiny",
        dataset=TINY[1],
        split="all",
        stations=stations,
        devices=devices,
        windows=Windows(),
        policy=TwinPolicy(None, FRESH_ENOUGH, sealed=True),
    )


@dataclass
class Federated:
    """A federation that can be started.

    Attributes:
        network: of its devnet.
        archive: of its devnet.
        settings: of the twin.
        accounts: of owner and stations.
        authority: of its certificates.
        stations: with their devices.
        warnings: what the launcher has said.
    """

    place: Place
    network: Network
    archive: Archive
    settings: RunSettings
    accounts: Accounts
    authority: Authority
    stations: list[Station]
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, place: Place, stations: int, devices: int, rounds: int, patience: Patience | None = None) -> Federated:
        reach, settings = Reach(Home(place.home)), tiny_settings(stations, devices)
        network, archive = Network.open(reach.chain(), reach.home.deployment), Archive(reach.store())
        accounts = devnet_accounts(network, stations)
        enrol(settings, network, archive, accounts.owner, [account.address for account in accounts.stations])
        patience = patience or Patience(gather=60.0, deadline=60.0)
        authority, placed = federation.prepare(settings, network, reach, accounts, rounds, patience, False)
        return cls(place, network, archive, settings, accounts, authority, placed)

    def processes(self, until: int) -> FederationProcesses:
        home = Home(self.place.home)
        return FederationProcesses(
            home.path / "federation",
            self.authority,
            self.stations,
            until=until,
            dataset=self.settings.dataset,
            receipts=home.receipts,
            notice=self.warnings.append,
        )

    def head(self) -> int:
        return self.network.ledger.head(twin_id("tiny")).number


@contextmanager
def tended(processes: FederationProcesses) -> Iterator[Callable[[Callable[[], bool]], None]]:
    """Start a federation; yields what waits for something while dead programs are started again."""

    def until(what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not what():
            assert time.monotonic() < deadline, "it never came to that"
            processes.tend()
            time.sleep(0.1)

    with processes:
        yield until


def programs(home: Path) -> list[psutil.Process]:
    """Everything that runs for a home: the programs name its files, or are children of those that do."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if any(str(home) in word for word in words) and any(w.endswith((*FLOWERS, *OURS)) for w in words):
                for one in [process, *process.children(recursive=True)]:
                    found[one.pid] = one
    return [one for one in found.values() if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def gone(processes: list[psutil.Process], seconds: float = 20.0) -> bool:
    """Whether all of these end by themselves."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


def kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        os.kill(process.pid, signal.SIGKILL)


class Wire:
    """Between a SuperNode and its station, with the station's own certificate: hears everything in the clear.

    Attributes:
        sent: what the device has sent.
        answered: what it was sent.
    """

    def __init__(self, files: Certificate, authority: Certificate, to: int) -> None:
        self.sent, self.answered = bytearray(), bytearray()
        self._files, self._authority, self._to = files, authority, to
        (self.port,) = free_ports(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Wire:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _listen(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._files.certificate, self._files.key)
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port, ssl=context)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        context = ssl.create_default_context(cafile=str(self._authority.certificate))
        there, back = await asyncio.open_connection("127.0.0.1", self._to, ssl=context, server_hostname="127.0.0.1")
        try:
            await asyncio.gather(_copy(reader, back, self.sent), _copy(there, writer, self.answered))
        finally:
            for side in (back, writer):
                side.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: bytearray) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(2**16):
            heard += data
            writer.write(data)
            await writer.drain()
    with suppress(ConnectionError, ssl.SSLError, RuntimeError):
        writer.close()


@dataclass(frozen=True)
class Tapped(StationPlace):
    """A station whose devices connect through a wire that is listened to."""

    tap: int = 0

    @property
    def outside(self) -> str:
        return f"127.0.0.1:{self.tap}"

    @classmethod
    def of(cls, place: StationPlace, tap: int) -> Tapped:
        return cls(place.folder, place.port, place.door, place.hosts, tap)


def only(station: Station, *indices: int) -> Station:
    """The same station, with some of its devices' SuperNodes only."""
    return replace(station, devices=[device for device in station.devices if device.index in indices])
