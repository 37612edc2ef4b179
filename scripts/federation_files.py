"""The files of a federation on Flower's deployment engine: who gets what, and what each machine is given.

::

    HOME/federation/
        ca.pem  ca.key                      the consortium's authority; ca.pem is given to every device
        station-1/  superlink.pem .key      a station's SuperLink: certificate, key,
                    superlink.db            its registered nodes and its runs,
                    station.json            what its ServerApp is told,
                    nodes/device-0000.json  its devices, as their owners hand them over,
                    flower/                 Flower's own folder
        device-0000/ node.key data.npz      a device's node key and its own examples
                     flower/
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from fl.data_files import partition_bytes
from fl.datasets import Partition
from fl.warm_clientapp import install
from scripts.certificates import LOOPBACK, Authority, Certificate
from scripts.children import Program
from scripts.cli import BadInputError
from scripts.flower import ROOT, environment, program
from scripts.home import Home


@dataclass(frozen=True)
class StationPlace:
    """A station's files.

    Attributes:
        folder: of all.
        port: of its SuperLink, on its machine only.
        door: port of its gate, to which its devices connect.
        hosts: under which its devices reach it.
    """

    folder: Path
    port: int
    door: int
    hosts: tuple[str, ...] = (LOOPBACK, "localhost")

    @property
    def certificate(self) -> Certificate:
        """Of its SuperLink."""
        return Certificate(self.folder / "superlink.pem", self.folder / "superlink.key")

    @property
    def nodes(self) -> Path:
        """Folder of its devices' files."""
        return self.folder / "nodes"

    @property
    def file(self) -> Path:
        """What its ServerApp is told."""
        return self.folder / "station.json"

    @property
    def told(self) -> Path:
        """What its ServerApp says."""
        return self.folder / "told.jsonl"

    @property
    def lock(self) -> Path:
        """Held by its ServerApp."""
        return self.file.with_suffix(".lock")

    @property
    def flower(self) -> Path:
        """Flower's own folder."""
        return self.folder / "flower"

    @property
    def address(self) -> str:
        """Of its SuperLink, from this machine."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def outside(self) -> str:
        """Where its devices connect to, on this machine."""
        return f"{LOOPBACK}:{self.door}"

    def gate(self, authority: Authority) -> Program:
        """Return the gate in front of its SuperLink."""
        command = [
            *(sys.executable, str(ROOT / "scripts" / "fleet_gate.py"), "--superlink", self.address),
            *("--certificate", _absolute(self.certificate.certificate), "--key", _absolute(self.certificate.key)),
            *("--authority", _absolute(authority.files.certificate), "--host", LOOPBACK, "--port", str(self.door)),
        ]
        return Program(f"{self.folder.name}'s gate", command, environment(self.flower), self.folder / "gate.log")

    def superlink(self, authority: Authority, apps: Path | None = None) -> Program:
        """Return its SuperLink; ``apps`` as in `DevicePlace.supernode`."""
        command = [
            *(program("flower-superlink"), "--enable-supernode-auth", "--disable-runtime-dependency-installation"),
            *("--ssl-ca-certfile", _absolute(authority.files.certificate)),
            *("--ssl-certfile", _absolute(self.certificate.certificate)),
            *("--ssl-keyfile", _absolute(self.certificate.key)),
            *("--host", LOOPBACK, "--port", str(self.port)),
            *("--database", _absolute(self.folder / "superlink.db")),
        ]
        name, log = f"{self.folder.name}'s SuperLink", self.folder / "superlink.log"
        return Program(name, command, environment(self.flower, apps), log)


@dataclass(frozen=True)
class DevicePlace:
    """A device's files.

    Attributes:
        folder: of all but its key.
        index: of its data.
        key: file of the key that it signs with.
        port: for its own ClientApps, on its machine only.
    """

    folder: Path
    index: int
    key: Path
    port: int

    @property
    def node_key(self) -> Path:
        """Its node's private key."""
        return self.folder / "node.key"

    @property
    def data(self) -> Path:
        """Its examples."""
        return self.folder / "data.npz"

    def write_data(self, partition: Partition) -> None:
        """Write its examples, if they aren't there."""
        data = partition_bytes(partition)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.data.exists() or self.data.read_bytes() != data:
            write_bytes(self.data, data)

    def supernode(self, superlink: str, authority: Path, dataset: str, receipts: Path, apps: Path | None) -> Program:
        """Return its SuperNode.

        Args:
            superlink: ``HOST:PORT`` of its station's.
            authority: certificate of the consortium's authority.
            dataset: name of what is learnt.
            receipts: folder for its receipts.
            apps: folder of the program that starts its ClientApps warm; None for Flower's own.
        """
        config: dict[str, str | int] = {
            "dataset": dataset,
            "partition-id": self.index,
            "data-file": _absolute(self.data),
            "key-file": _absolute(self.key),
            "receipts": _absolute(receipts),
        }
        spelled = " ".join(
            f'{name}="{value}"' if isinstance(value, str) else f"{name}={value}" for name, value in config.items()
        )
        command = [
            *(program("flower-supernode"), "--superlink", superlink),
            *("--root-certificates", _absolute(authority)),
            *("--auth-supernode-private-key", _absolute(self.node_key)),
            *("--host", LOOPBACK, "--port", str(self.port)),
            *("--node-config", spelled),
        ]
        flower = self.folder / "flower"
        flower.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Program(
            f"device {self.index}'s SuperNode", command, environment(flower, apps), self.folder / "supernode.log"
        )


def warm_apps(folder: Path) -> tuple[Program, Path]:
    """Return what starts ClientApps warm (`fl.warm_clientapp`), and the folder of the program that asks it to."""
    # Not in the folder: its path may be longer than a Unix socket's can be.
    sockets = Path(tempfile.gettempdir()) / f"twinledger-{os.getuid()}"
    sockets.mkdir(mode=0o700, exist_ok=True)
    if sockets.stat().st_uid != os.getuid() or sockets.stat().st_mode & 0o077:
        raise BadInputError(f"{sockets}: expected a folder that is only this user's; delete it")
    path = sockets / f"{sha256(str(folder.resolve()).encode()).hexdigest()[:16]}.sock"
    apps = folder / "apps"
    install(str(apps), str(path))
    flower = folder / "flower"
    flower.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [sys.executable, str(ROOT / "fl" / "warm_clientapp.py"), str(path)]
    return Program("ClientApps' server", command, environment(flower), folder / "apps.log"), apps


def federation_folder(home: Home) -> Path:
    """Return the folder of all this."""
    return home.path / "federation"


def write_bytes(file: Path, data: bytes) -> None:
    """Replace a file all at once, for its owner's eyes only."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
    except BaseException:
        os.unlink(name)
        raise
    Path(name).replace(file)


def _absolute(path: Path) -> str:
    return str(path.resolve())
