"""A session: chain, store, keys and Flower put together for one twin.

The only place where ``fl`` meets ``chain``: a `StationTrainer` becomes the follower's ``learn``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter

from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.connection import Receipt
from chain.enrolment import enrol_devices, enrol_genesis, enrol_stations, enrol_twin, missing_stations
from chain.hardhat_node import CHAIN_ID
from chain.station import StationFollower
from chain.values import RoundPolicy
from fl.datasets import get
from fl.station_trainer import Evaluation, Membership, StationTrainer, deal
from fl.strategies import StrategySpec
from fl.training import initial_model
from scripts.cli import BadInputError
from scripts.connections import Network
from scripts.home import require_own_keys
from scripts.sending import side_by_side
from scripts.settings import RunSettings, require_possible, task_of
from twins.aggregation import WEIGHTED_MEAN, function_of
from twins.archive import Archive
from twins.manifest import TwinManifest, TwinModelManifest
from twins.model import TwinModel
from twins.store import ArtifactStore
from twins.types import Address, Digest, TwinId, twin_id
from twins.updates import History, StationUpdate


@dataclass(frozen=True)
class Accounts:
    """Who signs a run's transactions.

    Attributes:
        owner: owns the twin, and as registrar admits stations.
        stations: by index.
    """

    owner: Account
    stations: tuple[Account, ...]


@dataclass
class Session:
    """All stations of a run inside this process, following one twin.

    Attributes:
        settings: of the run.
        network: the consortium.
        trainers: by station.
        followers: by station, in the order of their indices.
        setup: receipts of what had to be set up, by operation.
        seconds_training: spent in the devices' training so far.
        notice: told what happens, for a progress bar.
    """

    settings: RunSettings
    network: Network
    trainers: Mapping[Address, StationTrainer]
    followers: tuple[StationFollower, ...] = ()
    setup: Mapping[str, Sequence[Receipt]] = field(default_factory=dict)
    seconds_training: float = 0.0
    notice: Callable[[str], None] = lambda text: None
    _evaluations: dict[Digest, dict[Address, Evaluation]] = field(default_factory=dict)

    @property
    def twin(self) -> TwinId:
        """Whose rounds these are."""
        return twin_id(self.settings.twin)

    def head_round(self) -> int:
        """Return the round of the head."""
        return self.network.ledger.head(self.twin).number

    def head_model(self) -> tuple[int, Digest, TwinModel]:
        """Return round, digest and weights of the head."""
        head = self.network.ledger.head(self.twin)
        return head.number, head.model, self.followers[0].base_model(head.model)

    def merged_updates(self, model: Digest) -> int:
        """Return how many stations' updates are in a final model."""
        return len(self.followers[0].archive.manifest(TwinModelManifest, model).updates)

    def evaluate(self, digest: Digest, model: TwinModel) -> Evaluation:
        """Test a model on all devices, each on its own test data."""
        return Evaluation.total(self._evaluate(digest, model).values())

    def _evaluate(self, digest: Digest, model: TwinModel) -> dict[Address, Evaluation]:
        if digest not in self._evaluations:
            by_station = {station: trainer.evaluate(model) for station, trainer in self.trainers.items()}
            self._evaluations = {digest: by_station}  # only the newest: the next round starts from it
        return self._evaluations[digest]

    def learner(self, station: Address) -> Callable[[TwinModel, Digest, int, History], StationUpdate]:
        """Return the station's ``learn``: train, and state how good the base was on its devices."""

        def learn(base: TwinModel, digest: Digest, number: int, history: History) -> StationUpdate:
            evaluation = self._evaluate(digest, base)[station]
            clock = perf_counter()
            update = self.trainers[station].learn(base, digest, number, history)
            self.seconds_training += perf_counter() - clock
            return replace(update, metrics={**update.metrics, "base": evaluation.to_json()})

        return learn


def open_session(
    settings: RunSettings,
    network: Network,
    store: ArtifactStore,
    device_keys: Sequence[Path],
    accounts: Accounts | None = None,
) -> Session:
    """Enrol what isn't enrolled yet, put the stations together; what can be refused is, before anything is sent.

    Args:
        settings: of the run.
        network: the consortium.
        store: for artifacts.
        device_keys: key file of each device.
        accounts: that sign; the devnet's if None.

    Raises:
        FlError: unknown data set or strategy, more stations than devices, unreadable keys.
        RecordError: the chain has other stations, or the twin has other settings.
        BadInputError: a chain whose keys this command doesn't have; device keys that aren't one each.
    """
    require_possible(settings)
    require_own_keys(device_keys)
    spec = StrategySpec.parse(settings.strategy, settings.strategy_arguments)
    dataset = get(settings.dataset)
    genesis = initial_model(dataset.task, settings.seed)
    manifest = TwinManifest(settings.twin, genesis.schema(), WEIGHTED_MEAN, task_of(settings, spec))
    accounts = accounts or devnet_accounts(network, settings.stations)
    trainers = {
        account.address: StationTrainer(
            station=account.address,
            twin=twin_id(settings.twin),
            domain=network.domain,
            dataset=dataset,
            dataset_name=settings.dataset,
            split=settings.split,
            devices=settings.devices,
            members=Membership(part, tuple(device_keys[index] for index in part)),
            spec=spec,
            seed=settings.seed,
            progress=lambda node: session.notice(f"device {node - 1} of {settings.devices} has replied"),
        )
        for account, part in zip(accounts.stations, deal(settings.devices, settings.stations), strict=True)
    }
    archive = Archive(store)
    session = Session(settings, network, trainers)
    session.setup = _enrol(session, archive, accounts, manifest, genesis)
    session.followers = tuple(
        StationFollower(
            twin=session.twin,
            manifest=manifest,
            account=account,
            roster=trainers[account.address].roster,
            registry=network.registry,
            ledger=network.ledger,
            since=network.since,
            archive=archive,
            learn=session.learner(account.address),
            merge=function_of(manifest.merge_rule),
            windows=settings.windows,
        )
        for account in accounts.stations
    )
    return session


def devnet_accounts(network: Network, count: int) -> Accounts:
    """Return the devnet's accounts: Hardhat's 0 owns, 1 to ``count`` are the stations.

    Raises:
        BadInputError: another chain: those keys are public.
    """
    if network.chain.chain_id != CHAIN_ID:
        raise BadInputError(
            f"expected a devnet (chain id {CHAIN_ID}), whose stations have public keys, got chain id "
            f"{network.chain.chain_id}; give --station-keys and --admin-key"
        )
    owner, *stations = (Account.from_mnemonic(HARDHAT_MNEMONIC, index) for index in range(count + 1))
    return Accounts(owner, tuple(stations))


def _enrol(
    session: Session,
    archive: Archive,
    accounts: Accounts,
    manifest: TwinManifest,
    genesis: TwinModel,
) -> dict[str, list[Receipt]]:
    network, windows = session.network, session.settings.windows
    registrar = owner = accounts.owner
    policy = RoundPolicy(windows.submit_for, windows.attest_for, windows.min_updates)
    registry, ledger = network.registry, network.ledger
    stations = [account.address for account in accounts.stations]
    # Whatever can be refused is refused before anything is sent: other stations here, another twin's settings next.
    missing_stations(registry, stations)
    sent: dict[str, Sequence[Receipt | None]] = {
        "register twin": [enrol_twin(registry, archive, owner, manifest, policy)],
        "register station": enrol_stations(registry, registrar, stations),
        "set roster": side_by_side(
            network.chain,
            [partial(enrol_devices, registry, a, session.trainers[a.address].roster) for a in accounts.stations],
        ),
        "genesis": [enrol_genesis(ledger, archive, owner, manifest, genesis, {"seed": session.settings.seed})],
    }
    return {name: [r for r in receipts if r is not None] for name, receipts in sent.items()}
