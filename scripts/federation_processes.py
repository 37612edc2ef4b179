"""A federation's programs on one machine: a SuperLink per station, a SuperNode per device, and the stations' runs."""

from __future__ import annotations

import fcntl
import json
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

from chain.errors import DevnetError
from scripts.certificates import Authority
from scripts.children import Child, Children, Program
from scripts.federation_files import DevicePlace, StationPlace, warm_apps
from scripts.flower import CONNECTION, ROOT, environment, program, register
from scripts.node_files import load_nodes
from scripts.told import lines_since
from twins.types import Address

_READY = 90.0  # seconds that a SuperLink may take to answer
_POLL = 0.2
_BEGIN = 300.0  # seconds that a run may take to begin, with all programs of a machine starting at once
_USELESS = 5  # runs in a row that ended without a word


@dataclass
class Station:
    """One station of this machine.

    Attributes:
        account: its address.
        place: its files.
        devices: whose SuperNodes are to run here.
    """

    account: Address
    place: StationPlace
    devices: Sequence[DevicePlace]
    read: int = 0  # bytes of what it said
    submitted: float | None = None  # when its run was, if it hasn't begun
    runs: int = 0  # in a row, without a word
    begun: bool = False  # its run holds the lock
    done: bool = False  # the head is where it was to be
    command: subprocess.Popen[bytes] | None = None
    link: Child | None = None


class FederationProcesses:
    """All programs of a run; a context manager that leaves none behind."""

    def __init__(
        self,
        folder: Path,
        authority: Authority,
        stations: Sequence[Station],
        *,
        until: int,
        dataset: str,
        receipts: Path,
        notice: Callable[[str], None],
        warm: bool = True,
    ) -> None:
        """Start nothing yet.

        Args:
            folder: of the federation.
            authority: of the consortium.
            stations: with their devices.
            until: round of the head at which the stations stop.
            dataset: what is learnt.
            receipts: folder for the devices' receipts.
            notice: told who died.
            warm: whether ClientApps are started from a process that has imported what they need.
        """
        self._warm = warm
        self._unheard: list[tuple[Address, dict[str, Any]]] = []
        self._apps: Path | None = None
        self._folder, self._authority, self._stations = folder, authority, list(stations)
        self._dataset, self._receipts, self._notice, self._until = dataset, receipts, notice, until
        self._children = Children(folder / "federation.pid", notice)

    def __enter__(self) -> Self:
        """Start SuperLinks, let the nodes in, start SuperNodes, and the stations' runs."""
        try:
            if self._warm:
                server, self._apps = warm_apps(self._folder)
                self._children.add(server)
            for station in self._stations:
                self._authority.require_valid(station.place.certificate, station.place.hosts)
                station.read = station.place.told.stat().st_size if station.place.told.exists() else 0
                station.link = self._children.add(station.place.superlink(self._authority, self._apps))
                self._children.add(station.place.gate(self._authority))
            for station in self._stations:
                self._await_link(station)
                register(station.place.flower, [one.public_key for one in load_nodes(station.place.nodes)])
                for device in station.devices:
                    self._children.add(self._supernode(station, device))
            for station in self._stations:
                self._submit(station)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """End all."""
        self.stop()

    def stop(self) -> None:
        """End all; twice is fine."""
        for station in self._stations:
            if station.command is not None:
                station.command.kill()
                station.command.wait()
                station.command = None
        self._children.stop()

    @property
    def stations(self) -> tuple[Address, ...]:
        """Accounts of all, by index."""
        return tuple(station.account for station in self._stations)

    @property
    def running(self) -> tuple[Address, ...]:
        """Accounts of the stations whose runs are alive."""
        return tuple(station.account for station in self._stations if _holds(station.place.lock))

    def told(self) -> list[tuple[Address, dict[str, Any]]]:
        """Return what the stations said since the last call, each with its station's account."""
        heard, self._unheard = self._unheard + self._hear(), []
        return heard

    def _hear(self) -> list[tuple[Address, dict[str, Any]]]:
        lines = []
        for station in self._stations:
            if not station.place.told.exists():
                continue
            station.read, said = lines_since(station.place.told, station.read)
            for line in said:
                lines.append((station.account, line))
                station.runs = 0
                station.done |= line["event"] == "head" and line["round"] >= self._until
        return lines

    def tend(self) -> None:
        """Start those again that died, and the runs that ended.

        Raises:
            DevnetError: a station's run ends again and again.
        """
        self._children.tend()
        self._unheard += self._hear()
        for station in self._stations:
            if _holds(station.place.lock):
                station.begun, station.submitted = True, None
                continue
            if station.done:
                continue
            if station.begun:
                station.begun = False
                self._notice(f"{station.place.folder.name}'s ServerApp has ended; started again")
                self._submit(station)
            elif station.submitted is not None and monotonic() > station.submitted + _BEGIN:
                self._notice(f"{station.place.folder.name}'s ServerApp hasn't begun; started again")
                self._submit(station)
            elif station.command is not None and station.command.poll() not in (None, 0):
                station.command = None
                self._notice(f"{station.place.folder.name}: flwr run failed (log: {station.place.folder}/run.log)")
                station.submitted = monotonic() - _BEGIN + 5.0

    def _submit(self, station: Station) -> None:
        station.runs += 1
        if station.runs > _USELESS:
            raise DevnetError(
                f"{station.place.folder.name}: expected a run that goes on, got {_USELESS} that ended without a word; "
                f"see {station.place.folder}/superlink.log and run.log"
            )
        words = [program("flwr"), "run", str(ROOT), CONNECTION]
        words += ["--run-config", f"station={json.dumps(str(station.place.file.resolve()))}"]
        with (station.place.folder / "run.log").open("ab") as log:
            # Tied, or it would go on for as long as Flower tries to reach a SuperLink that died with this process.
            station.command = subprocess.Popen(
                self._children.tied(words),
                env=environment(station.place.flower),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        station.submitted = monotonic()

    def _supernode(self, station: Station, device: DevicePlace) -> Program:
        authority = self._authority.files.certificate
        return device.supernode(station.place.outside, authority, self._dataset, self._receipts, self._apps)

    def _await_link(self, station: Station) -> None:
        """Wait until a SuperLink answers over TLS.

        Raises:
            DevnetError: it has died, or doesn't.
        """
        context = ssl.create_default_context(cafile=str(self._authority.files.certificate))
        deadline = monotonic() + _READY
        while True:
            with suppress(urllib.error.URLError, OSError):
                url = f"https://{station.place.address}/health"
                with urllib.request.urlopen(url, timeout=5.0, context=context):
                    return
            process = None if station.link is None else station.link.process
            if monotonic() > deadline or process is None or process.poll() is not None:
                raise DevnetError(
                    f"{station.place.folder.name}: expected its SuperLink to answer on {station.place.address}, got "
                    f"nothing; see {station.place.folder}/superlink.log"
                )
            time.sleep(_POLL)


def _holds(lock: Path) -> bool:
    """Whether a run holds a station's lock: the system lets go of it when the run's process is gone."""
    with lock.open("a", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(stream, fcntl.LOCK_UN)
        return False
