"""Tagging, proving and verifying, beside a SHA-256 Merkle tree and beside the textbook's way, in one run.

Examples:
    benchmarks/pdp_speed.py            medians of 5; writes docs/benchmarks/pdp-speed.json
    benchmarks/pdp_speed.py --quick    medians of 1 of the smaller things, and nothing is written

Ratios hold on any machine; seconds are this one's. "Textbook" tags with the whole block as exponent and no trapdoor for
g (Ateniese et al., CCS 2007, as written down); the proof without the proof of exponentiation sends M itself, and the
verifier computes g^M.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any

import gmpy2
import typer
from gmpy2 import mpz

from benchmarks.tables import DOCS, renew
from chain.pdp import tags as tagging
from chain.pdp.challenge import Challenge
from chain.pdp.keys import BLOCK_BYTES, PrivateKey
from chain.pdp.proof import aggregate, prove
from chain.pdp.sources import BytesSource, FileSource, block_number, merkle_root
from chain.pdp.tags import TagDomain, Tags, check_tags, make_tags
from chain.pdp.verification import PROOF_BYTES, product_of, verify
from chain.pdp.words import full_domain_hash
from scripts.cli import command, out, run
from tests.slots import content, known_key
from twins.types import Address

CONTRACT = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")
DEPTH = 27  # of the Merkle tree that proofs are compared with


def seconds_of(action: Callable[[], object], times: int) -> float:
    """Median of several runs."""
    taken = []
    for _ in range(times):
        clock = perf_counter()
        action()
        taken.append(perf_counter() - clock)
    return median(taken)


def domain_of(source: BytesSource | FileSource, key: PrivateKey) -> TagDomain:
    """Any domain."""
    public = key.public
    words = (bytes(32), 1, bytes(32), public.key_id, merkle_root(source, public.block))
    return TagDomain(31337, CONTRACT, *words, source.length, public.block)


def textbook_tag(key: PrivateKey, tau: bytes, index: int, block: bytes) -> mpz:
    """One tag, with the block as the exponent of g: what tagging costs without the trapdoor."""
    public, n = key.public, mpz(key.public.modulus)
    number = block_number(block, public.block)
    power = gmpy2.powmod(public.generator, number, n)
    return gmpy2.powmod(full_domain_hash(tau, index) * power % n, key.inverse_exponent(key.order), n)


def measure_tagging(bits: int, times: int, megabytes: float) -> dict[str, float]:
    """MB/s of each way to tag."""
    key = known_key(0, bits)
    block = key.public.block
    data = content("speed", int(megabytes * 1e6) // block * block)
    source = BytesSource(data)
    domain = domain_of(source, key)
    few = BytesSource(data[: 4 * block])
    half = tagging._Tagger(key, domain.tau, with_table=False)
    table = tagging._Tagger(key, domain.tau, with_table=True)
    part = data[: max(block, 200_000 // block * block)]
    megabyte = 1e6
    return {
        "fixed base, 1 core": len(part) / seconds_of(lambda: table.tag(0, part), times) / megabyte,
        "CRT, 1 core": len(part) / seconds_of(lambda: half.tag(0, part), times) / megabyte,
        "textbook, 1 core": 4
        * block
        / seconds_of(
            lambda: [textbook_tag(key, domain.tau, i, few.read(i * block, block)) for i in range(4)], min(times, 3)
        )
        / megabyte,
        "whole, with its test": len(data) / seconds_of(lambda: make_tags(source, key, domain), times) / megabyte,
        "SHA-256 Merkle tree, 4 KiB": len(data) / seconds_of(lambda: merkle_root(source, 4096), times) / megabyte,
    }


def measure_proving(bits: int, size: int, times: int) -> dict[str, float]:
    """Milliseconds of a proof over `size` blocks, drawn from as many and one more."""
    key = known_key(0, bits)
    public = key.public
    source = BytesSource(content("proving", public.block * 32))
    domain = domain_of(source, key)
    tags = make_tags(source, key, domain)
    # An artifact of 32 blocks, asked for as often as a larger one would be.
    challenge = Challenge(domain.tau, bytes(31) + b"\1", 2**20, size)
    mapped = _Repeated(source, public.block)
    repeated = _RepeatedTags(tags, 2**20)
    made = aggregate(mapped, repeated, public, challenge)  # type: ignore[arg-type]
    asked = [challenge]
    n = mpz(public.modulus)
    return {
        "prove": 1e3 * seconds_of(lambda: _proof(mapped, repeated, public, challenge), times),
        "P alone": 1e3 * seconds_of(lambda: product_of(public, asked), times),
        "verify without": 1e3
        * seconds_of(lambda: product_of(public, asked) * gmpy2.powmod(public.generator, made.total, n) % n, times),
        "verify": 1e3 * _verify_seconds(key, size, times),
    }


def _proof(source: Any, tags: Any, public: Any, challenge: Challenge) -> None:
    from chain.pdp.verification import find_prime

    whole = aggregate(source, tags, public, challenge)
    n = mpz(public.modulus)
    prime, _ = find_prime(challenge.sigma, whole.tag, whole.product)
    inverse = gmpy2.invert(public.generator, n)
    gmpy2.powmod(whole.tag, public.exponent // prime, n) * gmpy2.powmod(inverse, whole.total // prime, n) % n


def _verify_seconds(key: PrivateKey, size: int, times: int) -> float:
    source = BytesSource(content("verify", key.public.block * 3))
    domain = domain_of(source, key)
    tags = make_tags(source, key, domain)
    small = Challenge(domain.tau, bytes(31) + b"\1", 3, 1024)
    proof = prove(source, tags, key.public, small)
    fixed = seconds_of(lambda: verify(key.public, [small], small.sigma, proof), times)
    large = Challenge(domain.tau, small.sigma, 2**20, size)
    more = seconds_of(lambda: product_of(key.public, [large]), times)
    return fixed - seconds_of(lambda: product_of(key.public, [small]), times) + more


class _Repeated:
    """A small artifact again and again, as a large one."""

    length = 2**62

    def __init__(self, source: BytesSource, block: int) -> None:
        self._source, self._block = source, block

    def read(self, offset: int, size: int) -> bytes:
        return self._source.read(offset % (32 * self._block), size)


class _RepeatedTags:
    """Tags of that."""

    def __init__(self, tags: Tags, blocks: int) -> None:
        self.tau, self.blocks, self._tags = tags.tau, blocks, tags

    def __getitem__(self, index: int) -> int:
        return self._tags[index % 32]


def measure_memory(megabytes: int) -> dict[str, float]:
    """Peak memory of processes that tag, test and prove a file."""
    with tempfile.TemporaryDirectory(prefix="twinledger-") as folder:
        file = Path(folder) / "artifact"
        with file.open("wb") as stream:
            for index in range(megabytes):
                stream.write(content(f"mb {index}", 1_000_000))
        done = subprocess.run(
            [sys.executable, __file__, "--large", str(file)], capture_output=True, text=True, check=True
        )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def large(file: Path) -> None:
    """Tag, test and prove one file; print the figures."""
    key, source = known_key(0, 756_839), FileSource(file)
    domain = domain_of(source, key)
    clock = perf_counter()
    tags = make_tags(source, key, domain)
    tagged = perf_counter() - clock
    clock = perf_counter()
    check_tags(source, tags, key.public, domain)
    checked = perf_counter() - clock
    challenge = Challenge(domain.tau, bytes(31) + b"\1", tags.blocks, 460)
    clock = perf_counter()
    verify(key.public, [challenge], challenge.sigma, prove(source, tags, key.public, challenge))
    proved = perf_counter() - clock
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1e3
    seconds = {"tag s": tagged, "test s": checked, "prove s": proved}
    print(json.dumps({"MB": source.length / 1e6, **seconds, "largest process MB": peak}))


def ratios(figures: dict[str, Any]) -> dict[str, list[Any]]:
    """The design's ratios: measured, target, and whether it is met."""
    tagging_, proving = figures["tagging"], figures["proving"]
    t16, t64 = tagging_["16384"], tagging_["65536"]
    p16 = proving["16384, c = 100"]
    rows = {
        "CRT tagging ÷ textbook, 16 KiB": (t16["CRT, 1 core"] / t16["textbook, 1 core"], 50, True),
        "CRT tagging ÷ Merkle tree, 16 KiB": (t16["CRT, 1 core"] / t16["SHA-256 Merkle tree, 4 KiB"], 1 / 150, True),
        "CRT tagging ÷ Merkle tree, 64 KiB": (t64["CRT, 1 core"] / t64["SHA-256 Merkle tree, 4 KiB"], 1 / 50, True),
        "fixed base ÷ CRT, 16 KiB": (t16["fixed base, 1 core"] / t16["CRT, 1 core"], 1.3, True),
        "verify without ÷ with the proof of exponentiation, c = 100, 16 KiB": (
            p16["verify without"] / p16["verify"],
            15,
            True,
        ),
        "proof bytes ÷ Merkle proof bytes, c = 460": (PROOF_BYTES / (460 * 32 * (DEPTH + 1)), 1 / 750, False),
    }
    return {
        name: [value, target, value >= target if least else value <= target]
        for name, (value, target, least) in rows.items()
    }


@command(__doc__)
def main(
    quick: Annotated[bool, typer.Option("--quick", help="Once, nothing written.")] = False,
    large_file: Annotated[
        Path | None, typer.Option("--large", help="Only tag, test and prove this file.", hidden=True)
    ] = None,
) -> None:
    """Measure (see --help)."""
    if large_file is not None:
        large(large_file)
        return
    times = 1 if quick else 5
    figures: dict[str, Any] = {"cores": os.cpu_count(), "tagging": {}, "proving": {}}
    for bits, block in BLOCK_BYTES.items():
        figures["tagging"][str(block)] = measure_tagging(bits, times, 3 if quick else 12)
        out.print(f"{block}: " + ", ".join(f"{k} {v:.2f} MB/s" for k, v in figures["tagging"][str(block)].items()))
        for size in (16, 100, 460)[: 2 if quick else 3]:
            if quick and block > 16_384:
                continue
            figures["proving"][f"{block}, c = {size}"] = found = measure_proving(bits, size, times)
            out.print(f"{block}, c = {size}: " + ", ".join(f"{k} {v:.1f} ms" for k, v in found.items()))
    figures["large"] = measure_memory(64 if quick else 1000)
    out.print(str(figures["large"]))
    figures["ratios"] = ratios(figures)
    for name, (value, target, met) in figures["ratios"].items():
        out.print(f"{name}: {value:.4g} (target {target:.4g}: {'met' if met else 'MISSED'})")
    if not quick:
        (DOCS / "benchmarks" / "pdp-speed.json").write_text(json.dumps(figures, indent=1) + "\n")
        renew()


if __name__ == "__main__":
    run(main)
