"""The whole line on this machine: a local chain, real sensor data, federated rounds, an audit, a forgery caught.

Examples:
    scripts/demo.py                     3 stations, 10 devices, 20 rounds
    scripts/demo.py --rounds 5          a short one
    scripts/demo.py --report out.html   where the report goes
    scripts/demo.py --profile consortium    on 5 geth validators and an IPFS node per station: 5 minutes

Starts its own network on free ports and stops it at the end. Everything it makes is under .twinledger/demo, which
is emptied first.
"""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.audit_report import AuditReport
from chain.clock import SlotClock
from chain.deployment import deploy_contracts
from chain.freshness import FreshnessVerifier
from chain.hardhat_node import HardhatNode
from chain.slot_steps import SlotStep
from fl.choice import EngineChoice
from fl.engines import Engine
from scripts import devnet_consortium as consortium
from scripts.audit import audit_twin
from scripts.audit_tree import summary
from scripts.cli import DEFAULT_HOME, BadInputError, HomeOption, command, err, out, run
from scripts.connections import Network, Reach
from scripts.deploy import slots
from scripts.devnet import Profile, end_network
from scripts.engine_options import opened, settled
from scripts.federation_run import RoundResult
from scripts.home import Home
from scripts.launch import announce, show_rounds
from scripts.possession import PossessionThread, holding_of, possession_of
from scripts.readers import Readers, keyring
from scripts.report import ReportData, RoundRow, Tampering, render
from scripts.session import Session, open_session
from scripts.settings import RunSettings, require_possible
from twins.archive import Archive
from twins.errors import StaleTwinError
from twins.manifest import TwinModelManifest
from twins.store import ArtifactStore, DirectoryStore
from twins.twin import Twin
from twins.types import Cid

_SLOTS = 4  # that the proof of the last head may take


@command(__doc__)
def main(
    rounds: Annotated[int, typer.Option(help="Rounds.")] = 20,
    stations: Annotated[int, typer.Option(help="Base stations.")] = 3,
    devices: Annotated[int, typer.Option(help="Devices in all.")] = 10,
    seed: Annotated[int, typer.Option(help="Of everything.")] = 0,
    report: Annotated[Path | None, typer.Option(help="HTML report [HOME/demo/report.html].")] = None,
    profile: Annotated[Profile, typer.Option(help="Kind of network.")] = Profile.EMBEDDED,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Run the demo (see --help)."""
    if rounds < 1:
        raise BadInputError(f"--rounds: expected at least 1, got {rounds}")
    if report is not None and not report.absolute().parent.is_dir():
        raise BadInputError(f"--report: expected a file in a folder that exists, got {report}")
    settings = RunSettings(stations=stations, devices=devices, seed=seed)
    require_possible(settings)
    place = Home(home / "demo")
    end_network(place.path)  # of a demo that was killed
    shutil.rmtree(place.path, ignore_errors=True)
    place.path.mkdir(parents=True)
    timings: dict[str, float] = {}
    # First: what it starts is ready by the time that the contracts are deployed.
    with (
        opened(settled(EngineChoice(), settings, rounds, None)) as engine,
        _network(profile, place, settings, timings) as reach,
    ):
        _run(place, reach, settings, rounds, report, timings, engine)


@contextmanager
def _network(profile: Profile, place: Home, settings: RunSettings, timings: dict[str, float]) -> Iterator[Reach]:
    if profile is Profile.EMBEDDED:
        with _timed(timings, "start the chain"):
            node = HardhatNode.start(log=place.path / "chain.log")
        with node:
            yield Reach(place, node.url)
        return
    with _timed(timings, "start 5 validators and the stations' IPFS nodes"):
        consortium.up(place.path, consortium.Wanted(stations=settings.stations), False, consortium.told(False))
    try:
        yield Reach(place)
    finally:
        end_network(place.path)


def _run(
    place: Home,
    reach: Reach,
    settings: RunSettings,
    rounds: int,
    report: Path | None,
    timings: dict[str, float],
    engine: Engine,
) -> None:
    gas: dict[str, list[int]] = defaultdict(list)
    chain, store = reach.chain(), reach.store()
    with _timed(timings, "compile and deploy the contracts"):
        deployment, receipts = deploy_contracts(chain, Account.from_mnemonic(HARDHAT_MNEMONIC, 0), timing=slots(chain))
        deployment.save(place.deployment)
        for name, receipt in receipts.items():
            gas[f"deploy {name}"].append(receipt.gas_used)
    with _timed(timings, "load the data and enrol everybody"):
        network = Network.open(chain, place.deployment)
        keys = place.device_keys(settings.seed, settings.devices)
        readers = Readers.of(place, settings.seed, True)
        session = open_session(settings, network, store, keys, readers=readers, receipts=place.receipts, engine=engine)
        for name, sent in session.setup.items():
            gas[name].extend(receipt.gas_used for receipt in sent)
    err.print(announce(settings, session.head_round(), rounds))
    parts = [
        # Connections of their own: what one thread sent, the other need not look after.
        possession_of(
            Network.open(reach.chain(), place.deployment),
            Archive(store),
            holding_of(reach.only(index) if reach.endpoints() else reach, Archive(store)),
            station.account,
            [session.twin],
            place.tagging_keys,
        )
        for index, station in enumerate(session.stations)
    ]
    steps: list[SlotStep] = []
    with PossessionThread(parts[0].clock, parts, steps.append):
        with _timed(timings, f"{rounds} federated rounds"):
            results = show_rounds(session, rounds)
        with _timed(timings, "wait for the slot in which the new head is proven"):
            opened = _open_twin(network, store, settings.twin, parts[0].clock)
    out.print(opened)
    for told in steps:
        if told.receipt is not None:
            gas[told.action.value].append(told.receipt.gas_used)
    for result in results:
        for step in result.steps:
            gas[step.action.value].append(step.receipt.gas_used)
    with _timed(timings, "audit"):
        audit = audit_twin(network, store, settings.twin, (), err, keyring(place, (), ()))
    out.print(f"audit: {summary(audit)}")
    with _timed(timings, "tamper and audit again"):
        tampering = _tamper(place, network, session, results)
    file = report or place.path / "report.html"
    file.write_text(render(_report(settings, results, audit, tampering, gas, timings)), encoding="utf-8")
    out.print(f"head: round {audit.head.number} {audit.head.model}")
    out.print(f"report: {file}")
    if not audit.ok or not all(entry.findings for entry in tampering):
        err.print("[red]the demo did not go as it must: see the audit above[/]")
        raise typer.Exit(1)


def _open_twin(network: Network, store: ArtifactStore, name: str, clock: SlotClock) -> str:
    """Open the twin as a simulation would, as soon as its head is proven; say how that went."""
    verifier = FreshnessVerifier(network.ledger, network.audit)
    slot_seconds = clock.timing.slot_seconds
    deadline = perf_counter() + _SLOTS * slot_seconds
    while True:
        try:
            twin = Twin.open(name, Archive(store), verifier, max_age=2 * slot_seconds)
        except StaleTwinError as error:
            if perf_counter() > deadline:
                return f"[bold red]possession[/]: {error}"
            network.chain.sleep(0.5)
        else:
            state = network.audit.time_state(twin.twin, network.audit.now_block)
            return (
                f"possession: round {state.version} proven in slot {state.slot} by {state.holders} holders in "
                f"{state.taggers} lanes; the twin opens for simulation"
            )


@contextmanager
def _timed(timings: dict[str, float], step: str) -> Iterator[None]:
    clock = perf_counter()
    yield
    timings[step] = perf_counter() - clock
    out.print(f"[dim]{timings[step]:6.1f} s[/]  {step}")


def _tamper(place: Home, network: Network, session: Session, results: Sequence[RoundResult]) -> list[Tampering]:
    """Flip one bit of a final model in a copy of the artifacts, and let the audit find it."""
    copy = place.path / "tampered"
    source = session.followers[0].archive.store
    if isinstance(source, DirectoryStore):
        shutil.copytree(place.store_path, copy)
        store = DirectoryStore(copy)
    else:  # what the audit read a moment ago, from IPFS
        store = DirectoryStore(copy)
        audit_twin(network, _Copying(source, store), session.settings.twin, (), err, keyring(place, (), ()))
    victim = results[len(results) // 2]
    ref = Archive(store).manifest(TwinModelManifest, victim.model).model
    file = store.path_of(ref.cid)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    audit = audit_twin(network, store, session.settings.twin, (), err, keyring(place, (), ()))
    shutil.rmtree(copy)
    what = f"one bit of the model of round {victim.number} flipped in the store"
    out.print(f"[bold]tampering[/]: {what}; audit: {summary(audit)}")
    findings = [vars(finding) for finding in audit.all_findings()]
    for finding in audit.all_findings():
        out.print(f"  [red]{finding.check}[/] {finding.where}")
    return [Tampering(what, findings)]


@dataclass(frozen=True)
class _Copying(ArtifactStore):
    """A store that keeps a copy of all that is read from it."""

    source: ArtifactStore
    copy: ArtifactStore

    def _put(self, cid: Cid, data: bytes) -> None:
        self.source.put(data)

    def _get(self, cid: Cid) -> bytes:
        data = self.source.get(cid)
        self.copy.put(data)
        return data

    def _has(self, cid: Cid) -> bool:
        return self.source.has(cid)


def _report(
    settings: RunSettings,
    results: Sequence[RoundResult],
    audit: AuditReport,
    tampering: Sequence[Tampering],
    gas: Mapping[str, Sequence[int]],
    timings: Mapping[str, float],
) -> ReportData:
    rows = [
        RoundRow(
            number=result.number,
            accuracy=result.evaluation.accuracy,
            loss=result.evaluation.loss,
            stations=result.stations,
            devices=result.devices,
            digest=result.model,
            parent=result.parent,
            gas=result.gas,
            seconds=result.seconds,
            phases=result.phases,
        )
        for result in results
    ]
    packages = ("flwr", "torch", "numpy", "web3", "safetensors")
    return ReportData(
        title=f"Twin {settings.twin}",
        settings={
            "data set": f"{settings.dataset}, split {settings.split}",
            "strategy": settings.strategy,
            "stations": str(settings.stations),
            "devices": str(settings.devices),
            "rounds": str(len(results)),
            "seed": str(settings.seed),
        },
        rounds=rows,
        audit=audit.to_json(),
        tampering=tampering,
        gas=gas,
        timings=timings,
        versions={
            "python": platform.python_version(),
            **{p: importlib.metadata.version(p) for p in packages},
        },
    )


if __name__ == "__main__":
    run(main)
