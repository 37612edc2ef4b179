"""docs/deployment.md, "Several machines": its commands and its units, each party in folders of its own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from chain.ports import free_ports
from scripts.told import lines_since
from tests.integration.scripts.commands import PROJECT, Place
from tests.integration.scripts.federated import gone

pytestmark = pytest.mark.integration

PAGE = PROJECT / "docs" / "deployment.md"
KEY = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"  # of Hardhat's account 1, which the page names
PARTIES = ("authority", "station", "device")
UNIT = re.compile(r"```ini\n(.*?)```", re.DOTALL)
SECONDS = 300.0  # against a hang


def section() -> str:
    return PAGE.read_text(encoding="utf-8").split("## Several machines")[1].split("\n## ")[0]


def commands(party: str) -> list[str]:
    """What the page has a party do, a line each."""
    return re.findall(rf"does, as the {party} -->\n```sh\n(.*?)\n```", section(), re.DOTALL)


def units() -> dict[str, dict[str, list[str]]]:
    """The page's units by their descriptions: name of a setting to its values."""
    found = {}
    for text in UNIT.findall(section()):
        settings: dict[str, list[str]] = {}
        for line in re.sub(r"\n +", " ", text).splitlines():
            if "=" in line:
                name, _, value = line.partition("=")
                settings.setdefault(name, []).append(value)
        found[settings["Description"][0]] = settings
    return found


class Machines:
    """Each party's folders, in place of those of its machine."""

    def __init__(self, folder: Path, place: Place) -> None:
        superlink, gate, node = free_ports(3)
        self.folder, self.url = folder, place.chain().url
        self.shared = {
            "/opt/twinledger/.venv/bin": str(Path(sys.executable).parent),
            "/opt/twinledger": str(PROJECT),
            "http://127.0.0.1:8545": self.url,
            "station-1.example": "localhost",
            "0.0.0.0": "127.0.0.1",
            "9091": str(superlink),
            "9092": str(gate),
            "9094": str(node),
        }
        self.state = {"station": place.home, **{party: folder / party / "var" for party in ("authority", "device")}}
        self.port = superlink
        for party in PARTIES:
            self.etc(party).mkdir(parents=True)

    def etc(self, party: str) -> Path:
        return self.folder / party / "etc"

    def there(self, party: str, text: str) -> str:
        """A text of the page as it is on this machine."""
        own = {"/etc/twinledger": str(self.etc(party)), "/var/lib/twinledger": str(self.state[party])}
        for old, new in {**self.shared, **own}.items():
            text = text.replace(old, new)
        return text

    def do(self, party: str, command: str, *more: str) -> str:
        words = [sys.executable, *shlex.split(self.there(party, command))[1:], *more]
        done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=SECONDS)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def hand_over(self, sender: str, file: str, receiver: str, folder: str = "") -> None:
        (self.etc(receiver) / folder).mkdir(exist_ok=True)
        shutil.copy(self.etc(sender) / file, self.etc(receiver) / folder)

    def start(self, unit: Mapping[str, list[str]]) -> subprocess.Popen[bytes]:
        """Start a unit as systemd does: in its folder, with its environment and no other."""
        name = unit["Description"][0]
        party = "station" if "station" in name else "device"
        own = dict(word.split("=", 1) for line in unit.get("Environment", ()) for word in shlex.split(line))
        environment = {name: self.there(party, value) for name, value in own.items()}
        words = shlex.split(self.there(party, unit["ExecStart"][0]))
        tied = [sys.executable, "-I", "-S", "-B", str(PROJECT / "devnet" / "tied.py"), str(self.folder / "test.pid")]
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [*tied, *words],
                cwd=self.etc(party) if "WorkingDirectory" in unit else "/",
                env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin", **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def logs(self) -> str:
        return "\n".join(f"{file.name}:\n{file.read_text()}" for file in sorted(self.folder.glob("*.log")))


@contextmanager
def started(machines: Machines, *names: str) -> Iterator[Callable[[], None]]:
    """Start units; yields what starts those again that ended, as systemd does where the unit says so."""
    (machines.folder / "test.pid").write_text(str(os.getpid()), encoding="ascii")
    found, running = units(), dict[str, subprocess.Popen[bytes]]()

    def tend() -> None:
        for name, one in running.items():
            if one.poll() is not None:
                unit = found[f"Twinledger: {name}"]
                assert unit.get("Restart") == ["always"], machines.logs()
                running[name] = machines.start(unit)

    try:
        for name in names:
            running[name] = machines.start(found[f"Twinledger: {name}"])
        yield tend
    finally:
        alive = [psutil.Process(one.pid) for one in running.values() if one.poll() is None]
        everything = [*alive, *(child for one in alive for child in one.children(recursive=True))]
        for one in reversed(list(running.values())):
            one.terminate()
        gone(everything, 10.0)
        for process in everything:
            if process.is_running():
                process.kill()
        for one in running.values():
            one.wait()


def test_the_commands_and_units_of_the_page_make_a_federation_of_several_machines(place: Place, tmp_path: Path) -> None:
    twin = ("--twin", "watch", "--stations", "1", "--devices", "4")
    assert place.run("rounds", *twin, "--enrol-only").code == 0
    machines = Machines(tmp_path, place)
    (machines.etc("station") / "station.key").write_text(KEY)
    shutil.copy(place.home / "deployment.json", machines.etc("device"))

    found, sign = commands("authority")
    ask, tell = commands("station")
    machines.do("authority", found)
    machines.do("station", ask)
    machines.hand_over("station", "superlink.csr", "authority")
    machines.do("authority", sign)
    machines.hand_over("authority", "superlink.pem", "station")
    for party in ("station", "device"):
        machines.hand_over("authority", "authority/ca.pem", party)
    (own,) = commands("device")
    said = machines.do("device", own)
    assert "device 0x" in said
    assert machines.do("device", own) == said, "keys that are there stay"
    machines.hand_over("device", "device-0003.json", "station", "nodes")
    assert "station 0x70997970C51812dc3A010C7d01b50e0d17dc79C8" in machines.do(
        "station", tell, "--rounds", "1", "--port", str(machines.port)
    )

    resident = ("the station's SuperLink", "the station's gate", "the device's ClientApps", "the device's SuperNode")
    with started(machines, *resident) as tend:
        (run,) = (unit for name, unit in units().items() if name == "Twinledger: the station's run")
        deadline = time.monotonic() + SECONDS
        while machines.start(run).wait(SECONDS) != 0:  # a oneshot that systemd starts when the SuperLink is up
            assert time.monotonic() < deadline, machines.logs()
            time.sleep(1.0)
        told = machines.etc("station") / "told.jsonl"
        while not (
            told.exists() and any(line["event"] == "head" and line["round"] for line in lines_since(told, 0)[1])
        ):
            tend()  # a SuperNode ends as long as its station has not let it in
            assert time.monotonic() < deadline, machines.logs()
            time.sleep(0.5)
    assert place.head("watch")
    kept = {file.name for file in machines.etc("station").iterdir()}
    assert not kept & {"device.key", "node.key", "ca.key", "data.npz"}, "a secret has left its folder"
