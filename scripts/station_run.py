"""What one station does from its start to its end, whoever calls its devices.

It is a process of its own (`scripts.station`), or Flower's ServerApp (`scripts.station_app`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chain.accounts import Account
from chain.enrolment import enrol_devices
from chain.hardhat_node import CHAIN_ID
from fl.engines import Engine
from fl.station_trainer import Membership, deal
from scripts.accounts import devnet_account
from scripts.cli import BadInputError, err, out, print_json
from scripts.connections import Network, Reach, warn
from scripts.home import Home, require_own_keys
from scripts.keys import read_account
from scripts.possession import PossessionThread, holding_of, possession_of
from scripts.readers import Readers
from scripts.recorded import recorded_settings
from scripts.settings import RunSettings
from scripts.station_loop import StationLoop
from scripts.station_parts import LocalStation, assemble
from scripts.told import Tell, Told, slot_told
from twins.archive import Archive
from twins.types import twin_id

MANY_ROUNDS = 1_000
"""That a station without an end has ahead of it, for the choice of an engine."""


@dataclass(frozen=True)
class StationOptions:
    """Which station, of which twin, and where its network is; None is what `scripts/station.py --help` says.

    Attributes:
        twin: its name.
        home: local state.
        key: file of the station's key.
        account: instead, number of a devnet's account.
        password_file: of the key.
        rounds: stop when the head is at this one; None: never.
        possession: whether to prove possession beside the rounds.
        trust: data sets and strategies of somebody's own that the twin may name.
        readers: who gets a grant to the devices' sealed updates.
        deployment: file.
        rpc: URLs of the chain's nodes.
        ipfs: URLs of IPFS nodes.
        ipfs_tokens: file with their tokens.
        replicas: that an artifact needs.
        confirmations: of a settled block.
        patience: seconds.
    """

    twin: str
    home: Path
    key: Path | None = None
    account: int | None = None
    password_file: Path | None = None
    rounds: int | None = None
    possession: bool = True
    trust: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    deployment: Path | None = None
    rpc: str | None = None
    ipfs: tuple[str, ...] = ()
    ipfs_tokens: Path | None = None
    replicas: int | None = None
    confirmations: int | None = None
    patience: float | None = None

    @property
    def reach(self) -> Reach:
        """How it gets to its network."""
        return Reach(
            Home(self.home),
            self.rpc,
            self.ipfs,
            self.ipfs_tokens,
            replicas=self.replicas,
            confirmations=self.confirmations,
            patience=self.patience,
        )

    def network(self) -> Network:
        """Connect; each call gives a connection of its own.

        Raises:
            ChainError, BadInputError: as `Network.open` and `Reach.chain`.
        """
        return Network.open(self.reach.chain(), self.deployment or Home(self.home).deployment)

    def signer(self, network: Network) -> Account:
        """Return the station's account.

        Raises:
            BadInputError: a key file that can't be read, or an account of a devnet on another chain.
        """
        if self.key is not None:
            return read_account(self.key, self.password_file)
        return devnet_account(network, self.account or 0)


@dataclass(frozen=True)
class StationPlan:
    """What a station knows before its devices are there.

    Attributes:
        settings: of the twin, as recorded.
        network: the consortium.
        archive: where artifacts are.
        account: that signs.
        index: of the station.
        home: local state.
        ahead: rounds to go.
    """

    settings: RunSettings
    network: Network
    archive: Archive
    account: Account
    index: int
    home: Home
    ahead: int

    @property
    def public(self) -> bool:
        """Whether this is a devnet, whose keys are no secret."""
        return self.network.chain.chain_id == CHAIN_ID


class Devices(Protocol):
    """Knows which devices a station has."""

    def members(self, plan: StationPlan) -> Membership:
        """Return them."""


@dataclass(frozen=True)
class LocalDevices:
    """Devices whose keys are on this machine, as the options name them.

    Attributes:
        indices: ``1,4,7``; None for the station's share.
        keys: key files, or folders of them.
    """

    indices: str | None
    keys: Sequence[Path]

    def chosen(self, settings: RunSettings, index: int) -> tuple[int, ...]:
        """Return the devices of the station with this index.

        Raises:
            BadInputError: no list of different indices below the number of devices; or no share for this index.
        """
        if self.indices is None:
            if index >= settings.stations:
                raise BadInputError(
                    f"--devices: expected them named, for station {index} has no share: the twin's devices are dealt "
                    f"out to the stations 0 to {settings.stations - 1}"
                )
            return deal(settings.devices, settings.stations)[index]
        try:
            chosen = tuple(int(part) for part in self.indices.split(","))
        except ValueError:
            chosen = ()
        if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= i < settings.devices for i in chosen):
            raise BadInputError(
                f"--devices: expected different numbers from 0 to {settings.devices - 1} with commas between, "
                f"got {self.indices!r}"
            )
        return tuple(sorted(chosen))

    def members(self, plan: StationPlan) -> Membership:
        """Return the station's devices.

        Raises:
            BadInputError: as `chosen` and `key_files`.
            TwinsError, FlError: files that aren't one key each.
        """
        chosen = self.chosen(plan.settings, plan.index)
        return Membership(chosen, self.key_files(chosen, plan.home, plan.settings.seed, plan.public))

    def key_files(self, chosen: Sequence[int], home: Home, seed: int, public: bool) -> tuple[Path, ...]:
        """Return the devices' key files, in the order of their indices.

        Args:
            chosen: their indices.
            home: where a devnet's are made.
            seed: that a devnet's are made of.
            public: whether this is a devnet.

        Raises:
            BadInputError: another number of files than of devices, or none on a chain that is no devnet.
            TwinsError, FlError: files that aren't one key each.
        """
        if not self.keys:
            if not public:
                raise BadInputError("--device-keys: expected the devices' key files on a chain of your own, got none")
            return tuple(home.device_key(seed, index) for index in chosen)
        files = tuple(f for path in self.keys for f in (sorted(path.glob("*.key")) if path.is_dir() else (path,)))
        if len(files) != len(chosen):
            raise BadInputError(
                f"--device-keys: expected {len(chosen)} key files, one for each of the devices "
                f"{', '.join(map(str, chosen))}, got {len(files)}"
            )
        require_own_keys(files)
        return files


def be_station(
    options: StationOptions,
    devices: Devices,
    engine: Callable[[StationPlan], AbstractContextManager[Engine]],
    tell: Tell,
) -> None:
    """Be a station until the twin's head is where the options say; enrol its devices if they aren't.

    Args:
        options: which station.
        devices: its own.
        engine: opens what calls them.
        tell: told every line.

    Raises:
        BadInputError: an account that is no station; as `Devices.members`.
        ChainError, TwinsError, FlError: it can't go on.
    """
    network = options.network()
    account = options.signer(network)
    archive = Archive(options.reach.store())
    settings = recorded_settings(network, archive, options.twin, options.trust)
    twin, home = twin_id(options.twin), Home(options.home)
    record = network.registry.station_of(account.address)
    if not record.registered:
        raise BadInputError(
            f"--key: expected a registered station, got {account.address}, which the registry doesn't know"
        )
    ahead = (options.rounds or MANY_ROUNDS) - network.ledger.head(twin).number
    plan = StationPlan(settings, network, archive, account, record.index, home, ahead)
    members = devices.members(plan)
    with engine(plan) as runs:
        station = _put_together(plan, members, options.readers, runs)
        enrol_devices(network.registry, account, station.trainer.roster)
        count = len(station.trainer.roster)
        err.print(
            f"station {account.address}: twin {options.twin}, {count} device{'' if count == 1 else 's'}", markup=False
        )
        loop = StationLoop(network, station, options.rounds, tell)
        if not options.possession:
            loop.run()
            return
        # A connection of its own: what one thread sent, the other need not look after.
        holding = holding_of(options.reach, archive)
        part = possession_of(options.network(), archive, holding, account, [twin], home.tagging_keys, warn)
        with PossessionThread(part.clock, [part], lambda step: tell(slot_told(step))):
            loop.run()


def _put_together(plan: StationPlan, members: Membership, readers: Sequence[str], engine: Engine) -> LocalStation:
    return assemble(
        plan.settings,
        plan.network,
        plan.archive,
        plan.account,
        members,
        readers=Readers.of(plan.home, plan.settings.seed, plan.public, readers),
        receipts=plan.home.receipts,
        engine=engine,
    )


def printer(json_output: bool) -> Tell:
    """Return what prints a line."""

    def tell(told: Told) -> None:
        if json_output:
            print_json(told.to_json())
        else:
            out.print(told.words, markup=False)
            out.file.flush()

    return tell
