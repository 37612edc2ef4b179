"""From a slot's opening to the last proof accepted: 1, 10 and 50 twins with three holders each, on both profiles.

Examples:
    benchmarks/pdp_latency.py                     both profiles; writes docs/benchmarks/pdp-latency.json: 35 minutes
    benchmarks/pdp_latency.py --profile embedded
    benchmarks/pdp_latency.py --quick             embedded, one twin; nothing is written

Seconds are the chain's own: the time of the block with the last proof, minus the slot's opening, and minus the opening
of the proofs, before which none is accepted. Each station holds in a process of its own and proves up to ten twins
at once.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.pdp_faults import Stations
from benchmarks.places import command_of
from benchmarks.tables import DOCS, renew
from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.audit_values import AuditPolicy, Phase
from chain.clock import SlotClock
from chain.events import ProofAccepted
from chain.values import RoundPolicy
from scripts.cli import command, out, run
from scripts.connections import Network, Reach
from scripts.home import Home
from scripts.signals import end_on_sigterm
from twins.aggregation import Rule
from twins.archive import Archive
from twins.manifest import TwinModelManifest
from twins.model import TwinModel
from twins.types import sha256_digest, twin_id

COUNTS = (1, 10, 50)
STATIONS = 3
WEIGHTS = 25_000  # of a model: 100 kB, 7 blocks of 16 KiB, as the demo's
_MEASURED = 2  # slots


def slot_of(profile: str, count: int) -> int:
    """Seconds of a slot: half of it is for proofs, and two cores make some three proofs a second for all stations."""
    return (30 if profile == "embedded" else 60) if count < 50 else (80 if profile == "embedded" else 150)


def enrol(network: Network, archive: Archive, count: int) -> None:
    """Register twins with a genesis and an audit policy, pipelined."""
    owner = Account.from_mnemonic(HARDHAT_MNEMONIC, 0)
    stations = [Account.from_mnemonic(HARDHAT_MNEMONIC, index).address for index in range(1, STATIONS + 1)]
    network.registry.register_stations(owner, stations)
    names = [f"latency-{index}" for index in range(count)]
    rule, policy = Rule("twinledger/genesis", "1", {}), RoundPolicy(60, 60, 1)
    models = []
    for index, name in enumerate(names):
        weights = {"w": np.random.default_rng(index).normal(size=WEIGHTS).astype(np.float32)}
        model = archive.put(TwinModel(weights).to_bytes())
        models.append(archive.put_manifest(TwinModelManifest(twin_id(name), 0, None, (), rule, model, 0, {"i": index})))
    twins = [twin_id(name) for name in names]
    registry, ledger, audit = network.registry, network.ledger, network.audit
    registry._transact_all(owner, "registerTwin", [(t, sha256_digest(t.encode()), policy) for t in twins])
    ledger._transact_all(owner, "genesis", list(zip(twins, models, strict=True)))
    audit._transact_all(owner, "setPolicy", [(twin, AuditPolicy.of((1 << STATIONS) - 1)) for twin in twins])
    network.chain.settle()


def measure(profile: str, count: int) -> dict[str, Any]:
    """Measure one number of twins on one profile."""
    size = ("--stations", str(STATIONS), "--validators", "5") if profile == "consortium" else ("--port", "0")
    with tempfile.TemporaryDirectory(prefix="twinledger-") as folder:
        home = Path(folder)
        try:
            command_of("devnet", home, "up", "--profile", profile, *size)
            command_of("deploy", home, "--slot", str(slot_of(profile, count)))
            reach = Reach(Home(home))
            network = Network.open(reach.chain(), home / "deployment.json")
            enrol(network, Archive(reach.store()), count)
            stations = Stations(home, reach)
            try:
                for index in range(1, STATIONS + 1):
                    stations.start(index)
                return _slots(network, count, slot_of(profile, count))
            finally:
                stations.end()
        finally:
            command_of("devnet", home, "down")


def _slots(network: Network, count: int, slot_seconds: int) -> dict[str, Any]:
    """Wait for slots in which all have proven, and take their times."""
    clock = SlotClock(network.audit)
    seconds: dict[int, tuple[int, int]] = {}
    deadline = time.monotonic() + (12 + _MEASURED) * slot_seconds
    while len(seconds) < _MEASURED and time.monotonic() < deadline:
        moment = clock.wait_until(clock.start_of(clock.read().slot, Phase.CLOSED) + 1)
        events = network.audit.events(network.since, kinds=(ProofAccepted,))
        mine = [e for e in events if isinstance(e, ProofAccepted) and e.slot == moment.slot]
        if len(mine) == count * STATIONS:
            last = max(network.chain.timestamp(block) for block in {event.block for event in mine})
            opened, proving = clock.start_of(moment.slot), clock.start_of(moment.slot, Phase.PROVING)
            seconds[moment.slot] = (last - opened, last - proving)
        clock.wait_until(clock.start_of(moment.slot + 1) + 1)
    if not seconds:
        raise AssertionError(f"expected a slot with {count * STATIONS} proofs, got none")
    return {
        "slot": slot_seconds,
        "slots": len(seconds),
        "from opening": median(s for s, _ in seconds.values()),
        "from proving": median(s for _, s in seconds.values()),
        "longest from proving": max(s for _, s in seconds.values()),
    }


@command(__doc__)
def main(
    profile: Annotated[list[str] | None, typer.Option(help="May be repeated [both].")] = None,
    twins: Annotated[list[int] | None, typer.Option(help="May be repeated [1, 10 and 50].")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Embedded, one twin, nothing written.")] = False,
) -> None:
    """Measure (see --help)."""
    end_on_sigterm()
    file = DOCS / "benchmarks" / "pdp-latency.json"
    figures: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"runs": {}}
    figures["cores"] = os.cpu_count()
    for name in ("embedded",) if quick else tuple(profile or ("embedded", "consortium")):
        for count in (1,) if quick else tuple(twins or COUNTS):
            figures["runs"][f"{name}, {count}"] = found = measure(name, count)
            out.print(f"{name}, {count} twins: {found}")
            if not quick:
                file.write_text(json.dumps(figures, indent=1) + "\n")
                renew()


if __name__ == "__main__":
    run(main)
