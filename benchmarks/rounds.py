"""Seconds per round by phase with the demo's settings, now and as it was at the end of issue A.

Examples:
    benchmarks/rounds.py                  3 times 20 rounds of each; writes docs/benchmarks/rounds.json: 5 minutes
    benchmarks/rounds.py --only now       the other column stays as it was
    benchmarks/rounds.py --then 5a2e4a7   another commit to compare with
    benchmarks/rounds.py --continue       only the repetitions that are missing
    benchmarks/rounds.py --quick          3 rounds, as it is now; nothing is written

Both are the commands that users have (devnet up, deploy, rounds) on a network of their own, in turns. The old ones are
taken out of git into a folder and run with today's packages.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer

from benchmarks.engine_plots import rounds_plot
from benchmarks.engine_tables import rounds_rows, show
from benchmarks.tables import DOCS, renew
from scripts.cli import BadInputError, command, out, run
from scripts.engine_options import CohortOption, EngineOption, ThreadsOption, WorkersOption, engine_words, wished
from scripts.signals import end_on_sigterm

PROJECT = DOCS.parent
NOW, THEN = "now", "issue A"
ISSUE_A = "5a2e4a7"
"""The last commit before the consortium's network: the whole line ran, and its documents had their figures."""

FILE = DOCS / "benchmarks" / "rounds.json"


@command(__doc__)
def main(
    rounds: Annotated[int, typer.Option(help="Of each run.", min=2)] = 20,
    repeats: Annotated[int, typer.Option(help="Of each.", min=1)] = 3,
    then: Annotated[str, typer.Option(help="Commit to compare with.")] = ISSUE_A,
    only: Annotated[str | None, typer.Option(help=f"{NOW!r} or {THEN!r} [both].")] = None,
    engine: EngineOption = "auto",
    workers: WorkersOption = None,
    cohort: CohortOption = None,
    threads: ThreadsOption = None,
    resume: Annotated[bool, typer.Option("--continue", help="Keep what is measured, add what is missing.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="3 rounds, once, nothing written.")] = False,
) -> None:
    """Measure (see --help)."""
    end_on_sigterm()
    if only not in (None, NOW, THEN):
        raise BadInputError(f"--only: expected {NOW!r} or {THEN!r}, got {only!r}")
    words = engine_words(wished(engine, workers, cohort, threads))
    if quick:
        show(rounds_rows({"runs": {NOW: [measure(PROJECT, 3, words)]}}))
        return
    figures: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {"runs": {}}
    columns = [only] if only else [THEN, NOW]
    named = {THEN: [rounds, then], NOW: [rounds, *words]}
    for column in columns:
        if not (resume and figures.get("of", {}).get(column) == named[column]):
            figures["runs"][column] = []
    figures |= {"cores": os.cpu_count(), "of": figures.get("of", {}) | {c: named[c] for c in columns}}
    with _checkout(then) if THEN in columns else _nothing() as old:
        for repetition in range(repeats):
            for column in columns:
                if len(figures["runs"][column]) > repetition:
                    continue
                checkout, extra = (old, ()) if column == THEN else (PROJECT, words)
                figures["runs"][column].append(found := measure(checkout, rounds, extra))
                out.print(f"[dim]{repetition + 1}. {column}: {found['seconds']:.1f} s[/]")
                FILE.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    show(rounds_rows(figures))
    (DOCS / "benchmarks" / "rounds.svg").write_text(rounds_plot(figures), encoding="utf-8")
    renew()


def measure(checkout: Path, rounds: int, words: Sequence[str]) -> dict[str, Any]:
    """Run the demo's rounds with the commands of a checkout; return seconds of the steps and of each round's phases."""
    steps: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="twinledger-") as folder:
        try:
            for step, script, *rest in (("chain", "devnet", "up", "--port", "0"), ("contracts", "deploy")):
                clock = perf_counter()
                _command(checkout, script, Path(folder), *rest)
                steps[step] = perf_counter() - clock
            clock = perf_counter()
            told = _command(checkout, "rounds", Path(folder), "--rounds", str(rounds), "--json", *words)
            seconds = perf_counter() - clock
        finally:
            _command(checkout, "devnet", Path(folder), "down")
    each = [json.loads(line) for line in told.splitlines()]
    steps["program, data, enrolment"] = seconds - sum(one["seconds"] for one in each)
    return {
        "seconds": sum(steps.values()) + sum(one["seconds"] for one in each),
        "set-up": steps,
        "rounds": [{"seconds": one["seconds"], "phases": one["phases"]} for one in each],
        "accuracy": each[-1]["accuracy"],
    }


def _command(checkout: Path, script: str, home: Path, *words: str) -> str:
    """Run a command of a checkout, whichever this one's packages are."""
    line = [sys.executable, str(checkout / "scripts" / f"{script}.py"), *words, "--home", str(home)]
    environment: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment, cwd=checkout)
    if done.returncode:
        raise RuntimeError(f"{' '.join(line)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def _checkout(commit: str) -> Iterator[Path]:
    """Yield a folder with the files of a commit, and today's packages.

    Raises:
        BadInputError: no such commit here.
    """
    with tempfile.TemporaryDirectory(prefix="twinledger-") as folder:
        archive, place = Path(folder) / "files.tar", Path(folder) / "checkout"
        done = subprocess.run(
            ["git", "archive", "--output", str(archive), commit], cwd=PROJECT, capture_output=True, text=True
        )
        if done.returncode:
            raise BadInputError(f"--then {commit}: expected a commit of this repository: {done.stderr.strip()}")
        shutil.unpack_archive(archive, place, filter="data")
        (place / ".venv").symlink_to(PROJECT / ".venv")
        (place / "node_modules").mkdir()
        for package in (PROJECT / "node_modules").iterdir():
            if package.name == "@openzeppelin":  # the Solidity compiler follows no link out of the project
                shutil.copytree(package, place / "node_modules" / package.name)
            else:
                (place / "node_modules" / package.name).symlink_to(package)
        yield place


@contextmanager
def _nothing() -> Iterator[Path]:
    yield PROJECT


if __name__ == "__main__":
    run(main)
