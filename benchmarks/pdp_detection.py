"""How often missing blocks are found: measured against the formula 1 - (1 - a)^c.

Examples:
    benchmarks/pdp_detection.py            2,000 slots at each of 0.1, 0.5, 1 and 5 %; writes the figures and the plot
    benchmarks/pdp_detection.py --quick    500 slots, and nothing is written

The artifact is a model of a million weights, 4 MB in 1,000 blocks, tagged for real. Each slot has a seed as the
contract makes it; blocks are dropped anew for every hundred slots. In some slots of each kind the real prover answers,
from an artifact without these blocks: it must fail exactly where a dropped block was asked for.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import Progress

from benchmarks.detection_plot import detection_plot
from benchmarks.tables import DOCS, renew
from chain.errors import PDPDataError
from chain.pdp.beacon import seed_of
from chain.pdp.challenge import Challenge
from chain.pdp.proof import prove
from chain.pdp.sources import BytesSource, merkle_root
from chain.pdp.tags import TagDomain, Tags, make_tags
from chain.pdp.verification import verify
from scripts.cli import command, out, run
from tests.slots import known_key
from twins.model import TwinModel
from twins.types import Address

CONTRACT = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")
HOLDER = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
RATES = (0.001, 0.005, 0.01, 0.05)
SIZES = (30, 100, 460)
_KEY = known_key(0)
_REAL = 6  # slots of each kind in which the real prover answers
_TURN = 100  # slots between two draws of what is dropped
_Z99 = 2.5758


def artifact() -> tuple[bytes, Tags]:
    """A model, and its tags."""
    weights = {"w": np.random.default_rng(0).normal(size=1_000_000).astype(np.float32)}
    data = TwinModel(weights).to_bytes()
    root = merkle_root(BytesSource(data), 4096)
    words = (bytes(32), 1, bytes(32), _KEY.public.key_id)
    domain = TagDomain(31337, CONTRACT, *words, root, len(data), 4096)
    return data, make_tags(BytesSource(data), _KEY, domain)


def without(data: bytes, gone: frozenset[int]) -> bytes:
    """The artifact with blocks zeroed: who dropped them has nothing better."""
    holes = bytearray(data)
    for index in gone:
        end = min((index + 1) * 4096, len(holes))
        holes[index * 4096 : end] = bytes(end - index * 4096)
    return bytes(holes)


def measure(slots: int, progress: Progress) -> list[dict[str, Any]]:
    """Measure every rate with every size."""
    data, tags = artifact()
    rows = []
    task = progress.add_task("slots", total=slots * len(RATES) * len(SIZES))
    for rate in RATES:
        for size in SIZES:
            draw, found, real = random.Random(f"{rate}/{size}"), 0, {True: 0, False: 0}
            gone, number = frozenset[int](), max(1, round(rate * tags.blocks))
            for slot in range(slots):
                if slot % _TURN == 0:
                    gone = frozenset(draw.sample(range(tags.blocks), number))
                    holes = without(data, gone)
                seed = seed_of(31337, CONTRACT, slot, [(HOLDER, draw.randbytes(32))])
                challenge = Challenge.of(seed, tags.tau, HOLDER, blocks=tags.blocks, size=size)
                hit = any(index in gone for index, _ in challenge.indices())
                found += hit
                if real[hit] < _REAL:
                    real[hit] += 1
                    require(holes, tags, challenge, hit=hit)
                progress.advance(task)
            rows.append(row(number / tags.blocks, size, slots, found, sum(real.values())))
    return rows


def require(holes: bytes, tags: Tags, challenge: Challenge, *, hit: bool) -> None:
    """Let the real prover answer.

    Raises:
        AssertionError: it proves what it hasn't, or fails at what it has.
    """
    try:
        verify(_KEY.public, [challenge], challenge.sigma, prove(BytesSource(holes), tags, _KEY.public, challenge))
    except PDPDataError:
        proven = False
    else:
        proven = True
    if proven is hit:
        raise AssertionError(f"expected a proof exactly where no dropped block is asked for, got {proven=} with {hit=}")


def row(rate: float, size: int, slots: int, found: int, real: int) -> dict[str, Any]:
    """One line: measured, expected, and the interval in which 99 of 100 measurements lie if the formula holds."""
    expected = 1 - (1 - rate) ** size
    low, high = interval(found, slots)
    return {
        "gone": rate,
        "size": size,
        "slots": slots,
        "found": found,
        "rate": found / slots,
        "formula": expected,
        "low": low,
        "high": high,
        "inside": low <= expected <= high,
        "proved for real": real,
    }


def interval(found: int, slots: int) -> tuple[float, float]:
    """Return the 99 % confidence interval of a rate (Wilson 1927)."""
    rate, z2 = found / slots, _Z99 * _Z99
    centre = (rate + z2 / (2 * slots)) / (1 + z2 / slots)
    width = _Z99 * math.sqrt(rate * (1 - rate) / slots + z2 / (4 * slots * slots)) / (1 + z2 / slots)
    return max(0.0, centre - width), min(1.0, centre + width)


def told(one: Mapping[str, Any]) -> str:
    """One line of output."""
    inside = "" if one["inside"] else "  OUTSIDE"
    return (
        f"{one['gone']:6.1%} gone, c = {one['size']:3}: found in {one['rate']:.4f} of {one['slots']} slots, formula "
        f"{one['formula']:.4f}, 99 % interval {one['low']:.4f} to {one['high']:.4f}{inside}"
    )


@command(__doc__)
def main(quick: Annotated[bool, typer.Option("--quick", help="500 slots, nothing written.")] = False) -> None:
    """Measure (see --help)."""
    with Progress(transient=True) as progress:
        rows = measure(500 if quick else 2000, progress)
    for one in rows:
        out.print(told(one))
    if not quick:
        (DOCS / "benchmarks" / "pdp-detection.json").write_text(json.dumps(rows, indent=1) + "\n")
        (DOCS / "benchmarks" / "pdp-detection.svg").write_text(detection_plot(rows))
        renew()
    if not all(one["inside"] for one in rows):
        raise typer.Exit(1)


if __name__ == "__main__":
    run(main)
