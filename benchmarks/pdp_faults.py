"""A consortium's possession checks under faults: ten slots, three stations, and what each slot must come out as.

Examples:
    benchmarks/pdp_faults.py               ten slots of 60 s on 5 geth validators and 3 Kubo nodes: 15 minutes
    benchmarks/pdp_faults.py --slot 40     shorter slots
    benchmarks/pdp_faults.py --quick       embedded, two slots, no fault; nothing is written

Each station holds in a process of its own (scripts/integrity.py hold) with its own IPFS node. In turn: a block of the
model is altered on one station's disk; a station is killed and stays away for two slots; one is stopped while values
are revealed, and back for the proofs; a validator is stopped in mid-slot. The history is then judged from the chain.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.places import SCRIPTS, command_of
from benchmarks.tables import DOCS, renew
from chain.audit_values import Phase, Verdict
from chain.clock import SlotClock
from chain.possession_audit import audit_possession
from scripts.cli import command, out, run
from scripts.connections import Network, Reach
from scripts.home import Home
from scripts.signals import end_on_sigterm
from twins.archive import Archive
from twins.manifest import TwinModelManifest
from twins.types import Cid, twin_id

TWIN = "tiny"
DATA = ("--dataset", "tests.integration.audit.tiny:DATASET", "--split", "all", "--devices", "6", "--twin", TWIN)
STATIONS = 3


@dataclass
class Stations:
    """The holders' processes."""

    home: Path
    reach: Reach
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, index: int) -> None:
        """Start a station's process (1 to 3)."""
        endpoints = self.reach.endpoints()
        words = ["hold", "--account", str(index), "--json", "--home", str(self.home)]
        if endpoints:
            url, token = endpoints[(index - 1) % len(endpoints)]
            others = [pair for pair in endpoints if pair[0] != url]
            tokens = self.home / f"hold-{index}.tokens"
            tokens.write_text("\n".join(t or "" for _, t in [(url, token), *others]) + "\n", encoding="utf-8")
            tokens.chmod(0o600)
            words += [word for u, _ in [(url, token), *others] for word in ("--ipfs", u)]
            words += ["--ipfs-tokens", str(tokens)]
        log = (self.home / f"hold-{index}.jsonl").open("ab")
        with log:
            self.processes[index] = subprocess.Popen(
                [sys.executable, str(SCRIPTS / "integrity.py"), *words], stdout=log, stderr=log
            )

    def kill(self, index: int) -> None:
        """Kill a station as a power cut does."""
        process = self.processes.pop(index)
        process.kill()
        process.wait()

    def end(self) -> None:
        """End all."""
        for process in self.processes.values():
            process.terminate()  # a shell that starts this in the background has them ignore Ctrl-C
        for process in self.processes.values():
            process.wait(60)


def block_file(repo: Path, cid: Cid) -> Path:
    """Where Kubo's flatfs keeps a block: named by the multihash in base32."""
    raw = base64.b32decode(cid[1:].upper() + "=" * (-(len(cid) - 1) % 8))
    name = base64.b32encode(raw[2:]).decode().rstrip("=")
    (found,) = (repo / "blocks").rglob(f"{name}.data")
    return found


def flip(file: Path) -> None:
    """Alter one bit."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o600)
    file.write_bytes(bytes(data))


def faults(home: Path, slot_seconds: int) -> dict[str, Any]:
    """Go through the ten slots; return what was expected and what came out."""
    reach = Reach(Home(home))
    network = Network.open(reach.chain(), home / "deployment.json")
    stations, clock = Stations(home, reach), SlotClock(network.audit)
    archive, twin = Archive(reach.store()), twin_id(TWIN)
    ref = archive.manifest(TwinModelManifest, network.ledger.head(twin).model).model
    repos = sorted(path for path in (home / "consortium" / "kubo").glob("station-*") if path.is_dir())
    expected: dict[int, tuple[str, list[str]]] = {}

    def at(slot: int, phase: Phase, what: str, act: Callable[[], None]) -> None:
        moment = clock.wait_until(clock.start_of(slot, phase) + 1)
        out.print(f"slot {moment.slot}, {moment.phase}: {what}")
        act()

    try:
        for index in range(1, STATIONS + 1):
            stations.start(index)
        first = _first_proven(network, clock, slot_seconds)
        out.print(f"slot {first}: all three have proven")
        s = first + 1
        good = ["proven"] * STATIONS
        plan: Sequence[tuple[int, str, list[str]]] = (
            (0, "nothing", good),
            (1, "a bit of the model altered on station 2's disk", ["proven", "failed", "proven"]),
            (2, "(mended by the holder itself)", good),
            (3, "station 3 killed", ["proven", "proven", "failed"]),
            (4, "station 3 still away", ["proven", "proven", "failed"]),
            (5, "station 3 back", good),
            (6, "station 1 away while values were revealed", good),
            (7, "nothing", good),
            (8, "a validator stopped while proofs came", good),
            (9, "that validator back", good),
        )
        expected = {s + number: (what, verdicts) for number, what, verdicts in plan}
        at(s + 1, Phase.OPEN, plan[1][1], lambda: flip(block_file(repos[1], ref.cid)))
        at(s + 3, Phase.OPEN, plan[3][1], lambda: stations.kill(3))
        at(s + 4, Phase.CLOSED, plan[5][1], lambda: stations.start(3))
        at(s + 6, Phase.OPEN, plan[6][1], lambda: stations.kill(1))
        at(s + 6, Phase.PROVING, "station 1 back", lambda: stations.start(1))
        at(s + 8, Phase.PROVING, plan[8][1], lambda: _devnet(home, "stop", "validator-2"))
        at(s + 9, Phase.OPEN, plan[9][1], lambda: _devnet(home, "start", "validator-2"))
        clock.wait_until(clock.start_of(s + 9, Phase.CLOSED) + 5)
    finally:
        stations.end()
    accounts = network.registry.stations()
    found = audit_possession(network.audit, twin, network.since, accounts)
    rows: dict[int, list[str]] = {}
    for row in found.rows:
        rows.setdefault(row.slot, ["not due"] * STATIONS)[accounts.index(row.holder)] = str(row.verdict)
    withheld = {slot: [accounts.index(a) + 1 for a in missing] for slot, missing in found.withheld.items()}
    return {
        "slot seconds": slot_seconds,
        "slots": [
            {
                "slot": slot - s,
                "fault": what,
                "expected": wanted,
                "got": rows.get(slot, []),
                "withheld": withheld.get(slot, []),
            }
            for slot, (what, wanted) in expected.items()
        ],
        "findings": [str(finding) for finding in found.findings],
        "verified": found.verified,
    }


def _first_proven(network: Network, clock: SlotClock, slot_seconds: int) -> int:
    """Wait for the first slot in which all have proven."""
    deadline, twin = time.monotonic() + 8 * slot_seconds, twin_id(TWIN)
    while time.monotonic() < deadline:
        slot = clock.read().slot
        found = [network.audit.verdict(twin, a, slot, network.audit.now_block) for a in network.registry.stations()]
        if all(verdict is Verdict.PROVEN for verdict in found):
            return slot
        time.sleep(1)
    raise AssertionError("expected a slot in which all three prove, got none")


def _devnet(home: Path, *words: str) -> None:
    command_of("devnet", home, *words)


def quick(home: Path) -> None:
    """Two slots without a fault, on one machine's chain."""
    command_of("devnet", home, "up", "--port", "0")
    try:
        command_of("deploy", home, "--slot", "10")
        command_of("rounds", home, "--rounds", "1", *DATA)
        reach = Reach(Home(home))
        network = Network.open(reach.chain(), home / "deployment.json")
        stations = Stations(home, reach)
        try:
            for index in range(1, STATIONS + 1):
                stations.start(index)
            slot = _first_proven(network, SlotClock(network.audit), 10)
        finally:
            stations.end()
        out.print(f"slot {slot}: all three have proven")
    finally:
        command_of("devnet", home, "down")


@command(__doc__)
def main(
    slot: Annotated[int, typer.Option(help="Seconds of a slot.", min=40)] = 60,
    quick_: Annotated[bool, typer.Option("--quick", help="Embedded, no fault, nothing written.")] = False,
) -> None:
    """Measure (see --help)."""
    end_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="twinledger-") as folder:
        home = Path(folder)
        if quick_:
            quick(home)
            return
        try:
            command_of("devnet", home, "up", "--profile", "consortium", "--stations", "3", "--validators", "5")
            command_of("deploy", home, "--slot", str(slot))
            command_of("rounds", home, "--rounds", "1", *DATA)
            figures = faults(home, slot)
        finally:
            command_of("devnet", home, "down")
    for row in figures["slots"]:
        same = "" if row["got"] == row["expected"] else f"  EXPECTED {row['expected']}"
        out.print(f"{row['slot']:2} {row['fault']:50} {', '.join(row['got'])} withheld {row['withheld']}{same}")
    (DOCS / "benchmarks" / "pdp-faults.json").write_text(json.dumps(figures, indent=1) + "\n")
    renew()
    if figures["findings"] or any(row["got"] != row["expected"] for row in figures["slots"]):
        raise typer.Exit(1)


if __name__ == "__main__":
    run(main)
