"""What every operation costs in gas, measured on a fresh Hardhat node; writes docs/gas.json and docs/gas.md.

Examples:
    benchmarks/gas.py             measure and write
    benchmarks/gas.py --quick     measure without the rounds of 7 and 21 stations, and write nothing

Every input is fixed, so the figures are exact and the same on every machine. A test measures again and fails when
an operation has grown by more than 2 %.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.gas_consortium import RING, Consortium, digest
from benchmarks.gas_disputes import measure_disputes
from chain.connection import Chain
from chain.hardhat_node import HardhatNode
from scripts.cli import JsonOption, command, out, print_json, run

DOCS = Path(__file__).resolve().parents[1] / "docs"
SIZES = (3, 7, 21)
"""Stations of the whole rounds."""

DEVICES = (10, 1_000, 1_000_000)
BATCH = 9
"""Twins in one transaction."""

NEAREST = 80_000
"""Gas per client update of the nearest published project (and some 70,000 per global model)."""

CEILINGS: Mapping[str, int] = {
    "submit an update, steady": 54_000,
    "attest, first, steady": 48_000,
    "attest, middle, steady": 48_000,
    "whole round, 3 stations": 360_000,
    "whole round, 21 stations": 1_900_000,
}
"""What may never be exceeded."""

FLOOR = 28_600
"""Of a transaction that only records an event: 21,000, some 2.5k calldata, 2.1k authorisation, 3k log."""

BOUNDS: Mapping[str, int] = {
    "deploy TwinRegistry": 1_900_000,
    "deploy RoundLedger": 3_340_000,
    "register a station": 85_000,
    "set a roster, first": 51_700,
    "set a roster, again": 34_600,
    "register a twin": 72_000,
    "revise a twin": 35_000,
    "open a round, first": 88_000,
    "open a round, steady": 54_000,
    "submit an update, first round": 71_500,
    "submit an update, steady": 54_400,
    "submit an update, late": 44_949,
    "submit updates of 9 twins, each": 28_113,
    "attest, first, steady": 65_800,
    "attest, middle, steady": 48_700,
    "attest, deciding, steady": 84_200,
    "dispute, first": 66_000,
    "dispute, deciding": 55_000,
    "prove a forgery, 1,000 leaves": 67_800,
    "final by signatures, 3 stations": 95_000,
    "final by signatures, 7 stations": 121_000,
    "final by signatures, 21 stations": 201_000,
    "whole round by signatures, 3 stations": 312_000,
    "whole round by signatures, 7 stations": 557_000,
    "whole round by signatures, 21 stations": 1_400_000,
    "whole round, 3 stations": 367_000,
    "whole round, 7 stations": 731_000,
    "whole round, 21 stations": 1_930_000,
}
"""What the prototype of this protocol took."""


def measure(chain: Chain, sizes: Sequence[int] = SIZES) -> dict[str, int]:
    """Measure every operation.

    Args:
        chain: a Hardhat node; what is on it doesn't matter.
        sizes: stations of the whole rounds.

    Returns:
        Operation to gas.
    """
    gas: dict[str, int] = {}
    rounds: dict[str, int] = {}
    for size in sizes:
        consortium = Consortium(chain, size)
        first = consortium.whole_round()
        while consortium.round < RING:
            consortium.whole_round()
        steady, signed = consortium.whole_round(), consortium.whole_round(signed=True)
        if size == min(sizes):
            gas |= consortium.gas
            gas |= {"open a round, first": first["open"][0], "open a round, steady": steady["open"][0]}
            gas["submit an update, first round"] = max(first["submit"])
            gas["submit an update, steady"] = max(steady["submit"])
            gas |= {"attest, first of a twin": first["attest"][0], "attest, first, steady": steady["attest"][0]}
            gas["attest, deciding, steady"] = steady["attest"][-1]
            gas |= _single_operations(consortium) | measure_disputes(consortium)
            gas |= _governance(Consortium(chain, size))
            gas["submit updates of 9 twins, each"] = _batch(Consortium(chain, size, BATCH))
        if size >= 5:  # fewer stations have no vote between the first and the deciding one
            gas["attest, middle, steady"] = max(gas.get("attest, middle, steady", 0), *steady["attest"][1:-1])
        rounds[f"whole round, {size} stations"] = sum(sum(costs) for costs in steady.values())
        rounds[f"final by signatures, {size} stations"] = signed["attest"][0]
        rounds[f"whole round by signatures, {size} stations"] = sum(sum(costs) for costs in signed.values())
    return gas | rounds


def _single_operations(consortium: Consortium) -> dict[str, int]:
    """Measure single operations with three stations; leave the consortium between two rounds."""
    registry, ledger, twin = consortium.registry, consortium.ledger, consortium.twin
    gas: dict[str, int] = {}
    station = consortium.stations[0]
    gas["set a roster, again"] = registry.set_roster(station, digest("roster 2"), 1_000).gas_used
    gas["name a station's nodes, first"] = registry.set_nodes(station, digest("nodes 1")).gas_used
    gas["name a station's nodes, again"] = registry.set_nodes(station, digest("nodes 2")).gas_used
    gas["revise a twin"] = registry.revise_twin(consortium.admin, twin, 2, digest("manifest 2")).gas_used
    consortium.open()
    consortium.submit(0)
    gas["submit an update, for an older round"] = consortium.submit(1, consortium.round - 1)
    consortium.advance(60)
    gas["submit an update, late"] = consortium.submit(1)
    consortium.attest(0, "wrong")
    gas["attest, another model"] = consortium.attest(1)
    gas["attest, moved"] = consortium.attest(0, "model", digest(f"wrong {consortium.round}"))
    consortium.open()
    consortium.submit(0)
    consortium.advance(120)
    gas["abort a round"] = ledger.abort_round(station, twin, consortium.round).gas_used
    gas["transfer a twin"] = registry.transfer_twin(consortium.admin, twin, station.address).gas_used
    return gas


def _governance(consortium: Consortium) -> dict[str, int]:
    """Measure elections and suspensions with three stations."""
    registry, admin, (a, b, c) = consortium.registry, consortium.admin, consortium.stations
    evidence = digest("evidence")
    gas = {
        "set a weight": registry.set_weight(admin, a.address, 5).gas_used,
        "cast a ballot": registry.cast_ballot(a, 0b111).gas_used,
        "elect, 3 stations": registry.elect(a, 3).gas_used,
        "vote to suspend, first": registry.vote_suspend(a, c.address, evidence).gas_used,
        "vote to suspend, deciding": registry.vote_suspend(b, c.address, evidence).gas_used,
        "reinstate a station": registry.reinstate_station(admin, c.address).gas_used,
    }
    gas["suspend a station"] = registry.suspend_station(admin, c.address, evidence).gas_used
    return gas


def _batch(consortium: Consortium) -> int:
    """Measure a station's updates of nine twins in one transaction, each twin's ring reused."""
    while consortium.round < RING:
        consortium.whole_round()
    return max(consortium.whole_round()["submit"]) // BATCH


def markdown(gas: Mapping[str, int]) -> str:
    """Return docs/gas.md."""

    def cell(bounds: Mapping[str, int], name: str) -> str:
        return f"{bounds[name]:,}" if name in bounds else ""

    rows = [f"| {name} | {cost:,} | {cell(BOUNDS, name)} | {cell(CEILINGS, name)} |" for name, cost in gas.items()]
    steady, largest = gas["whole round, 21 stations"], SIZES[-1]
    update = gas["submit an update, steady"]
    devices = [
        f"| {count:,} | {steady / count:,.1f} | {count * NEAREST:,} | {count * NEAREST / steady:,.1f} |"
        for count in DEVICES
    ]
    return "\n".join(
        [
            "# Gas",
            "",
            "Written by `benchmarks/gas.py`; don't edit. Measured from receipts on a Hardhat node: London rules, solc",
            "with the settings of `contracts/solc-settings.json`. All inputs are fixed, so the figures are exact; a",
            "test measures again and fails when one has grown by more than 2 %, or is above its ceiling.",
            "",
            "| operation | gas | prototype | ceiling |",
            "|---|---:|---:|---:|",
            *rows,
            "",
            "A steady round is a later one of the same twin, after the ring of commitments (8 rounds) has come round:",
            "opened, one update of every station, votes up to the quorum of two thirds. With signatures, one",
            "transaction takes the place of the votes. A transaction that only records an event would take about",
            f"{FLOOR:,}.",
            "",
            "The ceilings hold where all agree. A vote for another model than the first one writes a slot of its own,",
            "and a vote that moves to one takes back the old: those rows have no ceiling.",
            "",
            "## Per device",
            "",
            "Stations submit, not devices: these are leaves of one Merkle root, so a device costs nothing of its own.",
            f"A steady round of {largest} stations, divided by the devices behind them. Beside it the nearest public",
            f"project, which pays some {NEAREST:,} gas per client update, and some 70,000 per global model: its column",
            "is devices times that, and the last says how many times as dear it is. Both are computed, ours from the",
            "measured round.",
            "",
            "| devices | gas per device and round | the nearest project, gas per round | times |",
            "|---:|---:|---:|---:|",
            *devices,
            "",
            f"With {DEVICES[0]} devices under {largest} stations there are more stations than devices: there",
            f"this ledger is dearer. An update of one station, {update:,} gas, is cheaper than one client update",
            "of that project, however many devices are behind it.",
            "",
        ]
    )


@command(__doc__)
def main(
    quick: Annotated[bool, typer.Option("--quick", help="Three stations only; write nothing.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Measure (see --help)."""
    with (
        tempfile.TemporaryDirectory(prefix="twinledger-gas-") as folder,
        HardhatNode.start(log=Path(folder) / "node.log") as node,
    ):
        gas = measure(Chain(node.url), SIZES[:1] if quick else SIZES)
    if not quick:
        (DOCS / "gas.json").write_text(json.dumps(gas, indent=2) + "\n", encoding="utf-8")
        (DOCS / "gas.md").write_text(markdown(gas), encoding="utf-8")
    if json_output:
        print_json(gas)
        return
    for name, cost in gas.items():
        bound = BOUNDS.get(name)
        out.print(f"{cost:>10,}  {name}" + (f"  [dim](prototype {bound:,})[/]" if bound else ""))


if __name__ == "__main__":
    run(main)
