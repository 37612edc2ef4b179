"""Random calls by honest and dishonest stations, on the real contracts and on a plain Python model of their rules.

Examples:
    benchmarks/fuzz_ledger.py                     10,000 steps, seed 0
    benchmarks/fuzz_ledger.py --seed 7 --steps 500
    benchmarks/fuzz_ledger.py --quick             500 steps

After each call its result, error, events and the state are compared; the first difference ends the run with the step.
The same seed makes the same calls. A run is divided among fresh deployments, so that beginnings are tried as well.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer

from chain.connection import Chain
from chain.hardhat_node import HardhatNode
from scripts.cli import JsonOption, command, out, print_json, run
from tests.integration.chain.ledger_fuzz import Fuzz

DEPLOYMENT = 1_000
"""Steps on each deployment: some 60 rounds of each twin, the ring of commitments many times over."""


def fuzz(chain: Chain, seed: int, steps: int) -> dict[str, Any]:
    """Make ``steps`` calls, and return how many of which kind went through, and which refusals came how often.

    Raises:
        DifferenceError: contract and model disagree.
    """
    calls: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    clock = perf_counter()
    for first in range(0, steps, DEPLOYMENT):
        generator = random.Random(f"{seed} {first}")
        one = Fuzz(chain)
        for _ in range(min(DEPLOYMENT, steps - first)):
            one.step(generator.choice)
        calls += one.calls
        refusals += one.refusals
    return {
        "seed": seed,
        "steps": steps,
        "seconds": round(perf_counter() - clock, 1),
        "calls": dict(calls.most_common()),
        "refused": dict(refusals.most_common()),
    }


@command(__doc__)
def main(
    steps: Annotated[int, typer.Option(help="Calls to make.", min=1)] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the generator.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="500 steps.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Fuzz (see --help)."""
    with (
        tempfile.TemporaryDirectory(prefix="twinledger-fuzz-") as folder,
        HardhatNode.start(log=Path(folder) / "node.log") as node,
    ):
        figures = fuzz(Chain(node.url), seed, 500 if quick else steps)
    if json_output:
        print_json(figures)
        return
    out.print(f"{figures['steps']:,} steps without a difference, seed {seed}, {figures['seconds']} s")
    for title in ("calls", "refused"):
        out.print(f"[bold]{title}[/]")
        for name, count in figures[title].items():
            out.print(f"{count:>8,}  {name}")


if __name__ == "__main__":
    run(main)
