"""One federated run in this process, measured from the first key to the last block: what overhead and scaling compare.

`measure` takes a `Job` as JSON and is called by `benchmarks.apart`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.apart import peaks
from benchmarks.plain import PlainFederation, for_plain
from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.connection import Chain
from chain.deployment import Deployment, deploy_contracts
from chain.hardhat_node import HardhatNode
from chain.station import Windows
from fl.choice import EngineChoice, make_engine
from fl.datasets import get
from fl.engines import Engine, LocalEngine
from fl.training import THREADS, initial_model
from scripts.connections import Network, Reach
from scripts.deploy import slots
from scripts.engine_options import settled
from scripts.federation_run import RoundResult, run_rounds
from scripts.home import Home
from scripts.readers import Readers
from scripts.session import Session, open_session
from scripts.settings import RunSettings
from twins.errors import ArtifactNotFoundError
from twins.model import TwinModel
from twins.store import ArtifactStore
from twins.types import Cid

WORK = {
    "watch": ("watch", "temporal"),
    "watch-hundred": ("benchmarks.shares:HUNDRED", "temporal"),
    "mlp": ("benchmarks.mlp:DATASET", "iid"),
}
"""Name in tables to data set and split."""

PLAIN = "no provenance"
MEMORY = "memory store"
DIRECTORY = "directory store"
HARDHAT_KUBO = "Hardhat, Kubo"
GETH_KUBO = "geth, Kubo"

_DAY = 86_400  # seconds of a window: a hundred thousand devices take longer than the default's ten minutes
_WARM_UP = 2  # devices of each station


@dataclass(frozen=True)
class Job:
    """A run.

    Attributes:
        work: one of `WORK`.
        devices: in all.
        stations: over which they are dealt.
        rounds: to run.
        mode: `PLAIN`, or the store, and the chain if it isn't Hardhat's.
        engine: wished for: the attributes of an `EngineChoice`.
        seed: of everything: no two repetitions hash or sign the same bytes.
        place: home folder of a running consortium, for the modes that need one.
    """

    work: str
    devices: int
    stations: int = 3
    rounds: int = 1
    mode: str = DIRECTORY
    engine: Mapping[str, Any] | None = None
    seed: int = 0
    place: str | None = None

    @property
    def choice(self) -> EngineChoice:
        """The wish as such."""
        return EngineChoice(**(self.engine or {}))

    def settings(self) -> RunSettings:
        """Return what the run is."""
        dataset, split = WORK[self.work]
        return RunSettings(
            twin=f"{self.work}-{self.seed}",
            dataset=dataset,
            split=split,
            stations=self.stations,
            devices=self.devices,
            seed=self.seed,
            windows=Windows(_DAY, _DAY),
        )


def settle(job: Job) -> dict[str, Any]:
    """Measure once which engine a job's wish comes to, so that all its repetitions and modes have the same."""
    return asdict(settled(job.choice, job.settings(), job.rounds, None))


class MemoryStore(ArtifactStore):
    """Artifacts in a dictionary."""

    def __init__(self) -> None:
        """Hold none."""
        self._held: dict[Cid, bytes] = {}

    @property
    def size(self) -> int:
        """Bytes of all."""
        return sum(map(len, self._held.values()))

    def _put(self, cid: Cid, data: bytes) -> None:
        self._held[cid] = data

    def _get(self, cid: Cid) -> bytes:
        try:
            return self._held[cid]
        except KeyError:
            raise ArtifactNotFoundError(cid, "not in memory") from None

    def _has(self, cid: Cid) -> bool:
        return cid in self._held


@contextmanager
def timed(times: dict[str, float], step: str) -> Iterator[None]:
    """Note how long something took."""
    clock = perf_counter()
    yield
    times[step] = perf_counter() - clock


def measure(job: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Run a `Job` and return its figures, as JSON values."""
    wanted = Job(**job)
    return measure_plain(wanted) if wanted.mode == PLAIN else measure_recorded(wanted, folder)


def measure_plain(job: Job) -> dict[str, Any]:
    """Run without provenance."""
    settings, setup = job.settings(), dict[str, float]()
    with timed(setup, "engine"):
        choice = settled(job.choice, settings, job.rounds, None)
    with running(for_plain(make_engine(choice))) as engine:
        with timed(setup, "data"):
            federation = PlainFederation(settings, engine)
        warm_up(settings, choice, lambda: federation.evaluate(initial_of(settings)))
        clock, cpu = perf_counter(), time.process_time()
        rounds = list(federation.rounds(job.rounds))
        seconds = perf_counter() - clock
        return {
            "engine": str(choice),
            "set-up": setup,
            "seconds": seconds,
            "cpu": time.process_time() - cpu,
            "peak MB": peaks(),
            "rounds": [{"seconds": one.seconds, "phases": one.phases} for one in rounds],
            "loss": rounds[-1].evaluation.loss,
            "accuracy": rounds[-1].evaluation.accuracy,
        }


def measure_recorded(job: Job, folder: Path) -> dict[str, Any]:
    """Run with provenance."""
    settings, setup = job.settings(), dict[str, float]()
    with timed(setup, "engine"):
        choice = settled(job.choice, settings, job.rounds, None)
    with running(make_engine(choice)) as engine, opened(job, folder, setup) as (home, network, store):
        with timed(setup, "keys"):
            keys = home.device_keys(settings.seed, settings.devices)
        with timed(setup, "enrolment"):
            readers = Readers.of(home, settings.seed, True)
            receipts = home.receipts
            session = open_session(settings, network, store, keys, None, readers, receipts, engine)
            network.chain.settle()
        enrolled = [receipt for sent in session.setup.values() for receipt in sent]
        warm_up(settings, choice, lambda: test_all(session))
        height, clock, cpu = network.chain.block_number(), perf_counter(), time.process_time()
        rounds = list(run_rounds(session, job.rounds))
        seconds = perf_counter() - clock
        return {
            "engine": str(choice),
            "set-up": setup,
            "seconds": seconds,
            "cpu": time.process_time() - cpu,
            "blocks": network.chain.block_number() - height,
            "peak MB": peaks(),
            "rounds": [figures_of(one) for one in rounds],
            "enrolment": {"transactions": len(enrolled), "gas": sum(receipt.gas_used for receipt in enrolled)},
            "stored bytes": stored(home, store),
            "loss": rounds[-1].evaluation.loss,
            "accuracy": rounds[-1].evaluation.accuracy,
        }


def figures_of(result: RoundResult) -> dict[str, Any]:
    """Return one round's figures."""
    return {
        "seconds": result.seconds,
        "phases": dict(result.phases),
        "transactions": len(result.steps),
        "gas": result.gas,
    }


@contextmanager
def running(engine: Engine) -> Iterator[Engine]:
    """Start an engine; at the end nothing of it is left."""
    try:
        engine.start()
        yield engine
    finally:
        engine.close()


@contextmanager
def opened(job: Job, folder: Path, setup: dict[str, float]) -> Iterator[tuple[Home, Network, ArtifactStore]]:
    """Start what a job's mode needs; the consortium is there already, and stays."""
    place = Home(folder)
    if job.mode == GETH_KUBO:
        reach = _consortium(job)
        # Its contracts are shared by all jobs of the consortium; the keys are this job's own.
        yield place, Network.open(reach.chain(), reach.home.deployment), reach.store()
        return
    with timed(setup, "chain"):
        node = HardhatNode.start(log=folder / "chain.log")
    with node:
        reach = Reach(place, node.url)
        with timed(setup, "contracts"):
            chain = reach.chain()
            deployment = _deployed(chain)
            deployment.save(place.deployment)
        store: ArtifactStore = MemoryStore() if job.mode == MEMORY else reach.store()
        if job.mode == HARDHAT_KUBO:
            store = _consortium(job).store()
        yield place, Network.open(chain, place.deployment), store


def _consortium(job: Job) -> Reach:
    if job.place is None:
        raise ValueError(f"mode {job.mode}: expected the home of a consortium, got none")
    return Reach(Home(Path(job.place)))


def _deployed(chain: Chain) -> Deployment:
    return deploy_contracts(chain, Account.from_mnemonic(HARDHAT_MNEMONIC, 0), timing=slots(chain))[0]


def warm_up(settings: RunSettings, choice: EngineChoice, everywhere: Callable[[], object]) -> None:
    """Pay for what PyTorch does once in a process: it is the same with and without provenance.

    Args:
        settings: of the run to come.
        choice: of its engine.
        everywhere: tests a model on all devices, so that worker processes are there and have their data.
    """
    count = min(settings.devices, settings.stations * _WARM_UP)
    few = RunSettings(
        dataset=settings.dataset, split=settings.split, stations=settings.stations, devices=count, seed=settings.seed
    )
    list(PlainFederation(few, LocalEngine(choice.cohort or 1, choice.threads or THREADS)).rounds(1))
    everywhere()


def initial_of(settings: RunSettings) -> TwinModel:
    """Return the genesis weights of a run."""
    return initial_model(get(settings.dataset).task, settings.seed)


def test_all(session: Session) -> None:
    """Test the genesis on all devices, past what a station remembers of it: its first round is to do it again."""
    genesis = initial_of(session.settings)
    for station in session.stations:
        station.trainer.evaluate(genesis)


def stored(home: Home, store: ArtifactStore) -> int | None:
    """Return the bytes of all artifacts; None where they are on IPFS nodes."""
    if isinstance(store, MemoryStore):
        return store.size
    folder = home.store_path
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.exists() else None
