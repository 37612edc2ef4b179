"""What one station of this process consists of: its devices behind a trainer, its part of the chain behind a follower.

Here ``fl`` meets ``chain``: a `StationTrainer` becomes the follower's ``learn``. One process may hold all stations of a
run (`scripts.session`), or one (`scripts.station`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from chain.accounts import Account
from chain.known import Known
from chain.station import StationFollower
from fl.datasets import get
from fl.engines import Engine
from fl.station_trainer import Evaluation, Membership, StationTrainer
from fl.training import initial_model
from scripts.connections import Network
from scripts.readers import ReaderSource
from scripts.settings import RunSettings, merge_rule_of, strategy_of, task_of
from twins.aggregation import function_of
from twins.archive import Archive
from twins.contribution import Receipt
from twins.encryption import Keyring, encryption_context
from twins.manifest import TwinManifest
from twins.model import TwinModel
from twins.types import Digest, twin_id
from twins.updates import History, StationUpdate

_DEVICES = threading.RLock()
"""Held by the thread for which devices work, of stations that share an engine that does one thing at a time."""


@dataclass(frozen=True)
class TwinPlan:
    """What a run's settings make of its twin: the same for whoever has the same settings.

    Attributes:
        manifest: the twin's own.
        genesis: the model of round 0.
    """

    manifest: TwinManifest
    genesis: TwinModel

    @classmethod
    def of(cls, settings: RunSettings) -> TwinPlan:
        """Compute both.

        Raises:
            FlError: unknown data set or strategy.
            AggregationError: unknown merge rule.
        """
        genesis = initial_model(get(settings.dataset).task, settings.seed)
        manifest = TwinManifest(
            name=settings.twin,
            model_schema=genesis.schema(),
            merge_rule=merge_rule_of(settings),
            policy=settings.policy,
            task=task_of(settings, strategy_of(settings)),
        )
        return cls(manifest, genesis)


@dataclass(frozen=True)
class Newest:
    """What a station's devices made last: all that tier 2 takes of it.

    Attributes:
        round: for which they trained.
        base: what they trained on.
        model: the tier-1 aggregate.
        examples: behind it.
    """

    round: int
    base: Digest
    model: TwinModel
    examples: int


@dataclass
class LocalStation:
    """A station of this process.

    Attributes:
        account: that signs.
        trainer: its devices.
        devices: held by the thread for which its devices work.
        follower: its part of the chain.
        newest: what its devices made last, in this process.
    """

    account: Account
    trainer: StationTrainer
    devices: AbstractContextManager[object] = _DEVICES
    follower: StationFollower = field(init=False)
    newest: Newest | None = field(default=None, init=False)
    _evaluation: tuple[Digest, Evaluation] | None = None

    def evaluate(self, model: TwinModel) -> Evaluation:
        """Test a model on the station's devices, each on its own test data; the same one twice is tested once.

        Raises:
            EngineError: as `StationTrainer.evaluate`.
        """
        with self.devices:
            weights = model.digest()
            if self._evaluation is None or self._evaluation[0] != weights:
                self._evaluation = (weights, self.trainer.evaluate(model))  # the newest: the next round starts from it
            return self._evaluation[1]

    def learn(self, base: TwinModel, digest: Digest, number: int, history: History) -> StationUpdate:
        """Train, and state how good the base was on the station's devices; `chain.station.Learn`."""
        with self.devices:
            evaluation = self.evaluate(base)
            update = self.trainer.learn(base, digest, number, history)
        self.newest = Newest(number, digest, update.model, update.examples)
        return replace(update, metrics={**update.metrics, "base": evaluation.to_json()})


def assemble(
    settings: RunSettings,
    network: Network,
    archive: Archive,
    account: Account,
    members: Membership,
    notice: Callable[[str], None] = lambda text: None,
    readers: ReaderSource = tuple,
    receipts: Path | None = None,
    engine: Engine | None = None,
    known: Known | None = None,
) -> LocalStation:
    """Put one station together; nothing is sent.

    Args:
        settings: of the twin.
        network: the consortium.
        archive: where artifacts are.
        account: the station's.
        members: its devices.
        notice: told when a device has replied.
        readers: tells who gets a grant to the devices' sealed updates.
        receipts: folder in which its devices keep the station's receipts; None: they keep none.
        engine: runs the devices; None for one after another in this thread.
        known: what all stations of this process, and this archive, have fetched; None for a station alone.

    Raises:
        FlError: unknown data set or strategy, unreadable keys, too few devices for the strategy.
    """
    plan, twin, secret = TwinPlan.of(settings), twin_id(settings.twin), account.station_secret
    trainer = StationTrainer(
        station=account.address,
        twin=twin,
        domain=network.domain,
        dataset=get(settings.dataset),
        dataset_name=settings.dataset,
        split=settings.split,
        devices=settings.devices,
        members=members,
        spec=strategy_of(settings),
        seed=settings.seed,
        policy=settings.policy,
        noise_seed=lambda number: secret.noise(encryption_context(twin, number, account.address)),
        acknowledge=lambda twin, number, entry: account.sign_hash(
            Receipt(twin, number, entry.leaf_digest).signing_hash(network.domain)
        ),
        receipts=receipts,
        progress=lambda node: notice(f"device {node - 1} of {settings.devices} has replied"),
        engine=engine,
    )
    alone = engine is None or engine.at_once == 1
    station = LocalStation(account, trainer, _DEVICES if alone else threading.RLock())
    station.follower = StationFollower(
        twin=twin,
        manifest=plan.manifest,
        account=account,
        roster=trainer.roster,
        registry=network.registry,
        ledger=network.ledger,
        since=network.since,
        archive=archive,
        learn=station.learn,
        merge=function_of(plan.manifest.merge_rule),
        windows=settings.windows,
        secret=secret,
        readers=readers,
        keyring=Keyring((secret,)),
        notice=notice,
        known=known or Known(),
    )
    return station
