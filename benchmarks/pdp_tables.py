"""The sections of docs/benchmarks.md about possession."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Figures = Mapping[str, Any]
Table = Callable[[Sequence[str], Sequence[Sequence[str]]], str]


def gas(figures: Figures, table: Table) -> str:
    """What each step costs on the chain."""
    used, design = figures["gas"], figures["design"]
    rows = [
        [name, f"{amount:,}", f"{design[name]:,}" if name in design else "–", _ratio(amount, design.get(name))]
        for name, amount in sorted(used.items(), key=lambda item: (item[0].split(",")[0], item[1]))
    ]
    slope = (used["full, 100 blocks"] - used["full, 8 blocks"]) / 92
    merkle = used["full, 460 of 1000 blocks"] / used["Merkle, 460 leaves"]
    return f"""## Possession: gas

`benchmarks/pdp_gas.py`: receipts of real transactions under London's rules, honest proofs over blocks of 4 KiB; the
design's figures are its prototype's. A challenged block costs {slope:,.0f} gas in full mode. "Merkle" is an on-chain
audit by SHA-256 inclusion proofs, leaves of 32 bytes in a tree of 2^27, at the same number of draws and so of equal
detection; at c = 460 possession costs {merkle:.2f} of it, in 546 bytes of calldata instead of 412,160.

{table(["", "gas", "design", "ratio"], rows)}
"""


def detection(rows: Sequence[Figures], table: Table) -> str:
    """How often missing blocks are found."""
    shown = [
        [
            f"{row['gone']:.1%}",
            str(row["size"]),
            f"{row['rate']:.4f}",
            f"{row['formula']:.4f}",
            f"{row['low']:.4f} – {row['high']:.4f}",
            "yes" if row["inside"] else "**no**",
        ]
        for row in rows
    ]
    proved = sum(row["proved for real"] for row in rows)
    return f"""## Possession: detection

`benchmarks/pdp_detection.py`: a model of a million weights, 4 MB in {4_000_000 // 4096 + 1} tagged blocks;
{rows[0]["slots"]:,} slots a line, each with a seed as the contract makes it. In {proved} slots the real prover answered
without the dropped blocks: it failed exactly where one of them was asked for.

![Detection](benchmarks/pdp-detection.svg)

{table(["gone", "c", "found in one slot", "1 − (1 − a)^c", "99 % interval", "inside"], shown)}
"""


def speed(figures: Figures, table: Table) -> str:
    """Tagging, proving, verifying."""
    tagging, proving = figures["tagging"], figures["proving"]
    ways = list(next(iter(tagging.values())))
    steps = list(next(iter(proving.values())))
    large = figures["large"]
    return f"""## Possession: speed

`benchmarks/pdp_speed.py`, on {figures["cores"]} cores, medians of 5. Tagging, MB/s, by bytes of a block; "textbook" is
without the trapdoor's reduction; "whole" is what a station does, on all cores, with the test of the tags:

{table(["block", *ways], [[b, *(f"{t[w]:.2f}" for w in ways)] for b, t in tagging.items()])}

Proving and verifying, milliseconds; "without" the proof of exponentiation the verifier raises g to a number as long as
a block:

{table(["block, draws", *steps], [[name, *(f"{p[s]:.1f}" for s in steps)] for name, p in proving.items()])}

A file of {large["MB"]:,.0f} MB in blocks of 64 KiB: tagged in {large["tag s"]:.0f} s,
tested in {large["test s"]:.0f} s,
proven (c = 460) in {large["prove s"]:.1f} s; the largest process took {large["largest process MB"]:.0f} MB.

{
        table(
            ["ratio", "measured", "target", "met"],
            [[n, f"{v:.4g}", f"{t:.4g}", "yes" if met else "**no**"] for n, (v, t, met) in figures["ratios"].items()],
        )
    }
"""


def faults(figures: Figures, table: Table) -> str:
    """Ten slots under faults."""
    rows = [
        [
            str(row["slot"]),
            row["fault"],
            ", ".join(row["got"]),
            "yes" if row["got"] == row["expected"] else f"**no**: {', '.join(row['expected'])}",
            ", ".join(f"station {index}" for index in row["withheld"]) or "–",
        ]
        for row in figures["slots"]
    ]
    return f"""## Possession: faults

`benchmarks/pdp_faults.py --slot {figures["slot seconds"]}`: 5 geth validators, 3 stations in processes of their own,
each with its own Kubo node. Verdicts by station, judged from the chain afterwards;
{figures["verified"]} proofs verified again, {len(figures["findings"])} findings.

{table(["slot", "fault", "verdicts", "as expected", "reveal withheld by"], rows)}
"""


def latency(figures: Figures, table: Table) -> str:
    """From a slot's opening to the last proof."""
    columns = ("slot", "slots", "from opening", "from proving", "longest from proving")
    rows = [[name, *(f"{run[c]:g}" for c in columns)] for name, run in figures["runs"].items()]
    return f"""## Possession: latency

`benchmarks/pdp_latency.py`, on {figures["cores"]} cores that validators, IPFS nodes and three stations' processes
share: seconds by the chain's clock from a slot's opening, and from the opening of its proofs, to the block with the
last of 3 × twins proofs; medians. Models of 100 kB, up to ten twins in one proof.

{table(["profile, twins", *columns], rows)}
"""


def _ratio(amount: int, design: int | None) -> str:
    return "–" if design is None else f"{amount / design:.2f}"
