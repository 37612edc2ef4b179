"""How far it scales: one round with full provenance for 10 to 100,000 devices, and under 1 to 21 stations.

Examples:
    benchmarks/scaling.py                              all rows; writes docs/benchmarks/scaling.json: an hour
    benchmarks/scaling.py --devices 1000               that row; the others stay as they were
    benchmarks/scaling.py --stations 7                 7 stations with 100 devices
    benchmarks/scaling.py --continue                   only the rows that are missing
    benchmarks/scaling.py --devices 1000 --profile     prints where the time goes (cProfile), and writes nothing
    benchmarks/scaling.py --quick                      10 and 100 devices; nothing is written

The MLP's synthetic data, on the embedded profile. Each row is a process of its own, so that peaks of memory don't mix.
"""

from __future__ import annotations

import cProfile
import io
import json
import os
import pstats
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.apart import apart
from benchmarks.engine_plots import scaling_plot
from benchmarks.engine_tables import scaling_rows, show
from benchmarks.runs import Job, measure
from benchmarks.tables import DOCS, renew
from scripts.cli import command, out, run
from scripts.engine_options import CohortOption, EngineOption, ThreadsOption, WorkersOption, wished
from scripts.signals import end_on_sigterm

DEVICES = {10: 3, 100: 3, 1_000: 3, 10_000: 3, 100_000: 10}
"""Devices to stations."""

STATIONS = (1, 3, 7, 21)
FEW = 100
"""Devices under so many stations."""

FILE = DOCS / "benchmarks" / "scaling.json"
_HOTTEST = 60  # functions of a profile


@command(__doc__)
def main(
    devices: Annotated[list[int] | None, typer.Option(help="May be repeated [10 to 100,000].")] = None,
    stations: Annotated[list[int] | None, typer.Option(help=f"With {FEW} devices; may be repeated.")] = None,
    engine: EngineOption = "auto",
    workers: WorkersOption = None,
    cohort: CohortOption = None,
    threads: ThreadsOption = None,
    resume: Annotated[bool, typer.Option("--continue", help="Keep what is measured, add what is missing.")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Say where the time goes; nothing is written.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="10 and 100 devices, nothing written.")] = False,
) -> None:
    """Measure (see --help)."""
    end_on_sigterm()
    wish = asdict(wished(engine, workers, cohort, threads))
    if quick:
        devices, stations = [10, 100], []
    elif devices is None and stations is None:
        devices, stations = list(DEVICES), list(STATIONS)
    jobs = {name_of(n, DEVICES.get(n, 3)): Job("mlp", n, DEVICES.get(n, 3), engine=wish) for n in devices or ()}
    jobs |= {name_of(FEW, n): Job("mlp", FEW, n, engine=wish) for n in stations or ()}
    figures: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() and not quick else {"rows": {}}
    figures["cores"] = os.cpu_count()
    for name, job in jobs.items():
        if resume and figures["rows"].get(name, {}).get("wish") == wish:
            continue
        if profile:
            out.print(apart("benchmarks.scaling:profiled", asdict(job))["told"], markup=False)
            continue
        measured = {"wish": wish, **asdict(job), **apart("benchmarks.runs:measure", asdict(job))}
        figures["rows"][name] = measured
        show(scaling_rows({"rows": {name: measured}}))
        if not quick:
            rows = dict(sorted(figures["rows"].items(), key=lambda row: (row[1]["devices"], row[1]["stations"])))
            FILE.write_text(json.dumps(figures | {"rows": rows}, indent=1) + "\n", encoding="utf-8")
    if not quick and not profile:
        (DOCS / "benchmarks" / "scaling.svg").write_text(scaling_plot(figures), encoding="utf-8")
        renew()


def name_of(devices: int, stations: int) -> str:
    """Return a row's name."""
    return f"{devices} devices, {stations} stations"


def profiled(job: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Run a job under the profiler; return the functions that take most, by their own time and by their calls'."""
    told = io.StringIO()
    with _profiles() as profiles:
        measured = measure(job, folder)
    told.write(json.dumps(measured) + "\n")
    for key in ("tottime", "cumtime"):
        pstats.Stats(*profiles, stream=told).sort_stats(key).print_stats(_HOTTEST)
    return {"told": told.getvalue()}


@contextmanager
def _profiles() -> Iterator[list[cProfile.Profile]]:
    """Profile this thread and all that it starts; what waits for another is in the figures too."""
    own, run_thread = cProfile.Profile(), threading.Thread.run
    profiles = [own]

    def run_profiled(thread: threading.Thread) -> None:
        profiles.append(profile := cProfile.Profile())
        profile.runcall(run_thread, thread)

    threading.Thread.run = run_profiled  # type: ignore[assignment, method-assign]
    own.enable()
    try:
        yield profiles
    finally:
        own.disable()
        threading.Thread.run = run_thread  # type: ignore[method-assign]


if __name__ == "__main__":
    run(main)
