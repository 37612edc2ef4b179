"""A session: chain, store, keys and all stations of a run put together for one twin, inside this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from chain.accounts import Account
from chain.connection import Receipt
from chain.enrolment import enrol_audit, enrol_devices, enrol_genesis, enrol_stations, enrol_twin, missing_stations
from chain.known import Known
from chain.station import StationFollower
from chain.values import RoundPolicy
from fl.engines import Engine
from fl.station_trainer import Evaluation, Membership, StationTrainer, deal
from scripts.accounts import Accounts, devnet_accounts
from scripts.connections import Network
from scripts.home import require_own_keys
from scripts.pipeline import in_order, side_by_side
from scripts.readers import ReaderSource
from scripts.settings import RunSettings, require_possible
from scripts.station_parts import LocalStation, TwinPlan, assemble
from twins.archive import Archive
from twins.manifest import TwinModelManifest
from twins.model import TwinModel
from twins.store import ArtifactStore
from twins.types import Address, Digest, TwinId, twin_id


@dataclass
class Session:
    """All stations of a run inside this process, following one twin.

    Attributes:
        settings: of the run.
        network: the consortium.
        stations: in the order of their indices.
        setup: receipts of what had to be set up, by operation.
        notice: told what happens, for a progress bar.
        at_once: how many stations' devices work at the same time.
        known: what any of the stations has fetched.
        over: set when the run ends, however it does.
    """

    settings: RunSettings
    network: Network
    stations: tuple[LocalStation, ...] = ()
    setup: Mapping[str, Sequence[Receipt]] = field(default_factory=dict)
    notice: Callable[[str], None] = lambda text: None
    at_once: int = 1
    known: Known = field(default_factory=Known)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def twin(self) -> TwinId:
        """Whose rounds these are."""
        return twin_id(self.settings.twin)

    @property
    def trainers(self) -> Mapping[Address, StationTrainer]:
        """By station."""
        return {station.account.address: station.trainer for station in self.stations}

    @property
    def followers(self) -> tuple[StationFollower, ...]:
        """In the order of the stations' indices."""
        return tuple(station.follower for station in self.stations)

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

    def evaluate(self, model: TwinModel) -> Evaluation:
        """Test a model on all devices, each on its own test data."""
        tests = [partial(station.evaluate, model) for station in self.stations]
        return Evaluation.total(in_order(tests, self.at_once))


def open_session(
    settings: RunSettings,
    network: Network,
    store: ArtifactStore,
    device_keys: Sequence[Path],
    accounts: Accounts | None = None,
    readers: ReaderSource = tuple,
    receipts: Path | None = None,
    engine: Engine | None = None,
) -> Session:
    """Enrol what isn't enrolled yet, put the stations together; what can be refused is, before anything is sent.

    Args:
        settings: of the run.
        network: the consortium.
        store: for artifacts.
        device_keys: key file of each device.
        accounts: that sign; the devnet's if None.
        readers: tells who gets a grant to the devices' sealed updates.
        receipts: folder in which devices keep their stations' receipts; None: they keep none.
        engine: runs the devices of all stations; None for one after another in this thread. The caller closes it.

    Raises:
        FlError: unknown data set or strategy, more stations than devices, unreadable keys.
        RecordError: the chain has other stations, or the twin has other settings.
        BadInputError: a chain whose keys this command doesn't have; device keys that aren't one each.
    """
    require_possible(settings)
    require_own_keys(device_keys)
    accounts = accounts or devnet_accounts(network, settings.stations)
    archive = Archive(store)
    session = Session(settings, network, at_once=1 if engine is None else engine.at_once)
    session.stations = tuple(
        assemble(
            settings,
            network,
            archive,
            account,
            Membership(part, tuple(device_keys[index] for index in part)),
            lambda text: session.notice(text),
            readers,
            receipts,
            engine,
            session.known,
        )
        for account, part in zip(accounts.stations, deal(settings.devices, settings.stations), strict=True)
    )
    sent = enrol(settings, network, archive, accounts.owner, [account.address for account in accounts.stations])
    registry = network.registry
    rosters = [partial(enrol_devices, registry, s.account, s.trainer.roster) for s in session.stations]
    session.setup = sent | {"set roster": [r for r in side_by_side(network.chain, rosters) if r is not None]}
    return session


def enrol(
    settings: RunSettings, network: Network, archive: Archive, owner: Account, stations: Sequence[Address]
) -> dict[str, list[Receipt]]:
    """Do the owner's part of an enrolment: the twin, the stations' admission, the genesis.

    Args:
        settings: of the twin.
        network: the consortium.
        archive: where artifacts are.
        owner: of the twin, who is the registrar too.
        stations: by index.

    Returns:
        Receipts of what was missing, by operation.

    Raises:
        RecordError: the chain has other stations, or the twin has other settings; nothing is sent then.
    """
    registry, ledger, windows = network.registry, network.ledger, settings.windows
    policy = RoundPolicy(windows.submit_for, windows.attest_for, windows.min_updates, windows.open_grace)
    plan = TwinPlan.of(settings)
    # Whatever can be refused is refused before anything is sent: other stations here, another twin's settings next.
    missing_stations(registry, stations)
    sent: dict[str, Sequence[Receipt | None]] = {
        "register twin": [enrol_twin(registry, archive, owner, plan.manifest, policy)],
        "register station": enrol_stations(registry, owner, stations),
        "audit policy": [enrol_audit(network.audit, registry, owner, twin_id(settings.twin))],
        "genesis": [enrol_genesis(ledger, archive, owner, plan.manifest, plan.genesis, {"seed": settings.seed})],
    }
    return {name: [r for r in receipts if r is not None] for name, receipts in sent.items()}
