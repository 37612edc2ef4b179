"""3, 7 and 21 stations, each a process of its own, on both profiles: do they agree, how long and how dear is a round?

Examples:
    benchmarks/stations.py                                20 rounds each; writes docs/benchmarks/stations.json
    benchmarks/stations.py --profile embedded --stations 3 --stations 7
    benchmarks/stations.py --quick                        3 stations, 3 rounds, embedded; writes nothing

Stations talk to each other only through the chain and the artifact store. A station counts as agreeing on a round's
model when it voted for it, or submitted an update in the next round: before it trains on a model that it hasn't voted
for, it computes it itself and refuses any other (chain/voting.py).
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer

from benchmarks.places import command_of, network
from benchmarks.tables import DOCS, renew
from chain.events import Attested, Event, RoundFinal, RoundOpened, UpdateSubmitted
from chain.lineage import Lineage
from scripts.cli import BadInputError, command, out, print_json, run
from scripts.connections import Network, Reach
from scripts.home import Home
from twins.types import twin_id

TWIN = "stations"
PROFILES = ("embedded", "consortium")
STEADY = 9  # rounds after which every storage slot is used again (the ledger keeps 8 rounds' commitments)


@command(__doc__)
def main(
    rounds: Annotated[int, typer.Option(help="Rounds of each run.", min=2)] = 20,
    stations: Annotated[list[int] | None, typer.Option(help="May be repeated [3, 7 and 21].")] = None,
    profile: Annotated[list[str] | None, typer.Option(help="May be repeated [both].")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A minute, and nothing is written.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Measure (see --help)."""
    profiles = tuple(profile or (PROFILES[:1] if quick else PROFILES))
    if unknown := set(profiles) - set(PROFILES):
        raise BadInputError(f"--profile: expected {' or '.join(PROFILES)}, got {', '.join(sorted(unknown))}")
    file = DOCS / "benchmarks" / "stations.json"
    figures: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"runs": {}}
    figures |= {"cores": os.cpu_count(), "rounds": rounds}
    for name in profiles:
        for count in stations or ((3,) if quick else (3, 7, 21)):
            out.print(f"[bold]{name}[/], {count} stations")
            with tempfile.TemporaryDirectory(prefix="twinledger-") as folder:
                measured = measure(name, count, 3 if quick else rounds, Path(folder))
            figures["runs"][f"{name}, {count}"] = measured
            out.print(json.dumps(measured))
            if not quick:  # each: an hour's work is not to be lost with the last run
                file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if json_output:
        print_json(figures)
    if not quick:
        renew()


def measure(profile: str, stations: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Run the stations, audit the twin, and return the figures of one run."""
    with network(profile, folder, stations=stations) as home:
        words = ("--processes", "--twin", TWIN, "--dataset", "benchmarks.shares:DATASET", "--rounds", str(rounds))
        sizes = ("--stations", str(stations), "--devices", str(stations))
        clock = perf_counter()
        told = command_of("rounds", home, *words, *sizes, "--json")
        seconds = perf_counter() - clock
        each = [json.loads(line)["seconds"] for line in told.splitlines()]
        clock = perf_counter()
        audit = json.loads(command_of("audit", home, TWIN, "--json"))
        place = Home(home)
        consortium = Network.open(Reach(place).chain(), place.deployment)
        lineage = Lineage.read(twin_id(TWIN), consortium.registry, consortium.ledger, consortium.since)
        return {
            "seconds in all": seconds,
            "round, median s": statistics.median(each[1:]),
            "audit, seconds": perf_counter() - clock,
            "verdict": audit["verdict"],
            **of_rounds(consortium, lineage),
        }


def of_rounds(consortium: Network, lineage: Lineage) -> dict[str, Any]:
    """Return gas per round, and in how many rounds all stations agreed."""
    chain, numbers = consortium.chain, [final.round for final in lineage.finals]
    gas, agreeing, dissent = [], [], 0
    for number in numbers:
        events: list[Event] = [e for e in lineage.events if vars(e).get("round") == number]
        transactions = {event.transaction for event in events}
        gas.append(sum(chain.receipt(hash_).gas_used for hash_ in transactions))
        final = lineage.of(RoundFinal, number)[0]
        votes = lineage.of(Attested, number)
        dissent += sum(vote.model != final.model for vote in votes)
        later = {update.station for update in lineage.of(UpdateSubmitted, number + 1) if update.base == final.model}
        agreeing.append(len({vote.station for vote in votes if vote.model == final.model} | later))
    whole = [number for number in numbers if lineage.of(RoundOpened, number)]
    return {
        "rounds": len(whole),
        "gas, first": gas[0],
        "gas, steady": statistics.median(gas[STEADY:] or gas[1:]),
        "gas, most": max(gas[1:]),
        "agreeing, least": min(agreeing[:-1]),
        "dissenting votes": dissent,
    }


if __name__ == "__main__":
    run(main)
