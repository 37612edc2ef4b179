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

from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.connection import Chain
from chain.deployment import deploy_contracts, open_contracts
from chain.hardhat_node import HardhatNode
from chain.round_ledger import RoundLedger, Update
from chain.twin_registry import RoundPolicy, TwinRegistry
from scripts.cli import JsonOption, command, out, print_json, run
from twins.types import ZERO_DIGEST, Digest, TwinId, sha256_digest, twin_id

DOCS = Path(__file__).resolve().parents[1] / "docs"
SIZES = (3, 7, 21)
"""Stations of the whole rounds."""

DEVICES = (10, 1_000, 1_000_000)

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
    "open a round, later": 54_000,
    "submit an update, first round": 71_500,
    "submit an update, later": 54_400,
    "submit an update, late": 44_949,
    "attest, first": 65_800,
    "attest, middle": 48_700,
    "attest, deciding": 84_200,
    "whole round, 3 stations": 367_000,
    "whole round, 7 stations": 731_000,
    "whole round, 21 stations": 1_930_000,
}
"""What the prototype of this protocol took."""


def digest(text: str) -> Digest:
    """Return a fixed digest: the gas of calldata depends on its zero bytes."""
    return sha256_digest(text.encode())


def account(index: int) -> Account:
    """Return a funded account."""
    return Account.from_mnemonic(HARDHAT_MNEMONIC, index)


class Consortium:
    """A fresh deployment with some stations and one twin, and the gas of each thing done with it."""

    def __init__(self, chain: Chain, size: int) -> None:
        """Deploy, admit ``size`` stations, register a twin and set its genesis."""
        self.chain = chain
        self.gas: dict[str, int] = {}
        self.admin = account(0)
        self.stations = tuple(account(index) for index in range(1, size + 1))
        deployment, receipts = deploy_contracts(chain, self.admin)
        for name, receipt in receipts.items():
            self.gas[f"deploy {name}"] = receipt.gas_used
        self.registry: TwinRegistry
        self.ledger: RoundLedger
        self.registry, self.ledger = open_contracts(chain, deployment)
        for index, station in enumerate(self.stations):
            receipt = self.registry.register_station(self.admin, station.address)
            self.gas["register a station" if index else "register the first station"] = receipt.gas_used
        self.twin: TwinId = twin_id("gas")
        policy = RoundPolicy(60, 60, 1)
        self.gas["register a twin"] = self.registry.register_twin(
            self.admin, self.twin, digest("manifest"), policy
        ).gas_used
        self.gas["set a genesis"] = self.ledger.genesis(self.admin, self.twin, digest("model 0")).gas_used
        self.round = 0

    def open(self) -> int:
        """Open the next round."""
        self.round += 1
        return self.ledger.open_round(self.stations[0], self.twin, self.round, 60, 60, 1).gas_used

    def submit(self, index: int, number: int | None = None) -> int:
        """Submit one station's update on the head, for the current round or an older one."""
        number = self.round if number is None else number
        head = self.ledger.head(self.twin)
        base_round = min(head.number, number - 1)
        update = Update(
            twin=self.twin,
            round=number,
            base_round=base_round,
            base=self.ledger.model_of(self.twin, base_round),
            update=digest(f"update {self.round} of {index} for {number}"),
            contributions=digest(f"contributions {self.round} of {index}"),
            examples=10_000,
        )
        return self.ledger.submit_update(self.stations[index], update).gas_used

    def attest(self, index: int, text: str = "model", replaced: Digest = ZERO_DIGEST) -> int:
        """Let one station vote in the current round."""
        model = digest(f"{text} {self.round}")
        return self.ledger.attest(self.stations[index], self.twin, self.round, model, replaced).gas_used

    def whole_round(self) -> dict[str, Sequence[int]]:
        """Run a round from its opening to the deciding vote; votes beyond the quorum aren't needed."""
        opened = self.open()
        submitted = [self.submit(index) for index in range(len(self.stations))]
        quorum = self.ledger.quorum_of((1 << len(self.stations)) - 1)
        return {"open": [opened], "submit": submitted, "attest": [self.attest(i) for i in range(quorum)]}

    def advance(self, seconds: int) -> None:
        """Let time pass on the chain."""
        self.chain.rpc("evm_increaseTime", (seconds,))
        self.chain.rpc("evm_mine")


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
        if size == min(sizes):
            gas |= _single_operations(consortium)
        consortium.whole_round()
        steady = consortium.whole_round()
        if size >= 5:  # fewer stations have no vote between the first and the deciding one
            gas.setdefault("attest, middle", max(steady["attest"][1:-1]))
        rounds[f"whole round, {size} stations"] = sum(sum(costs) for costs in steady.values())
    return gas | rounds


def _single_operations(consortium: Consortium) -> dict[str, int]:
    """Measure single operations with three stations; leave the consortium between two rounds."""
    registry, ledger, twin = consortium.registry, consortium.ledger, consortium.twin
    gas = dict(consortium.gas)
    station = consortium.stations[0]
    gas["set a roster, first"] = registry.set_roster(station, digest("roster 1"), 1_000).gas_used
    gas["set a roster, again"] = registry.set_roster(station, digest("roster 2"), 1_000).gas_used
    gas["revise a twin"] = registry.revise_twin(consortium.admin, twin, 2, digest("manifest 2")).gas_used

    first = consortium.whole_round()
    gas["open a round, first"] = first["open"][0]
    gas["submit an update, first round"] = max(first["submit"])
    later = consortium.whole_round()
    gas["open a round, later"] = later["open"][0]
    gas["submit an update, later"] = max(later["submit"])
    gas["attest, first"] = later["attest"][0]
    gas["attest, deciding"] = later["attest"][-1]

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


def markdown(gas: Mapping[str, int]) -> str:
    """Return docs/gas.md."""
    rows = [f"| {name} | {cost:,} | {f'{BOUNDS[name]:,}' if name in BOUNDS else ''} |" for name, cost in gas.items()]
    steady = gas["whole round, 21 stations"]
    devices = [f"| {count:,} | {steady / count:,.1f} |" for count in DEVICES]
    return "\n".join(
        [
            "# Gas",
            "",
            "Written by `benchmarks/gas.py`; don't edit. Measured from receipts on a Hardhat node: London rules, solc",
            "with the settings of `contracts/solc-settings.json`. All inputs are fixed, so the figures are exact; a",
            "test measures again and fails when one has grown by more than 2 %.",
            "",
            "| operation | gas | prototype |",
            "|---|---:|---:|",
            *rows,
            "",
            "A whole round is a later one of the same twin: opened, one update of every station, votes up to the",
            f"quorum of two thirds. A transaction that only records an event would take about {FLOOR:,}.",
            "",
            "## Per device",
            "",
            "Stations submit, not devices: these are leaves of one Merkle root. A whole round of 21 stations, divided",
            "by the devices behind them:",
            "",
            "| devices | gas per device and round |",
            "|---:|---:|",
            *devices,
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
