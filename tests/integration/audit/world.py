"""A consortium with a recorded history, and what a test does to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from chain.accounts import Account
from chain.audit_report import AuditReport
from chain.auditor import Auditor
from chain.checks import Finding
from chain.events import RosterSet, RoundFinal, UpdateSubmitted
from fl.replay import Replayer
from scripts.connections import Network
from scripts.federation_run import run_rounds
from scripts.session import Session, open_session
from scripts.settings import RunSettings
from tests.integration.consortium import account
from twins.archive import Archive
from twins.content import cid_of_digest
from twins.encryption import Keyring, ReaderKey
from twins.manifest import StationUpdateManifest, TwinModelManifest, TwinPolicy
from twins.store import ArtifactStore, DirectoryStore
from twins.types import Cid, Digest, TwinId, twin_id
from twins.updates import DeviceUpdate, device_order

SETTINGS = RunSettings(
    twin="tiny",
    dataset="tests.integration.audit.tiny:DATASET",
    split="all",
    stations=3,
    devices=6,
    # What is sealed, and who may read it, is tested where grants are (tests/integration/scripts/test_grants.py).
    policy=TwinPolicy(None, max_staleness=3, sealed=False),
)
ROUNDS = 3
BYTES = "the bytes that the record names"


@dataclass(frozen=True)
class World:
    """A chain and a store that a test may do anything to: both are its own."""

    network: Network
    path: Path
    keys: tuple[Path, ...]
    deployment: Path
    settings: RunSettings = SETTINGS

    @property
    def twin(self) -> TwinId:
        return twin_id(self.settings.twin)

    @property
    def store(self) -> DirectoryStore:
        return DirectoryStore(self.path)

    @property
    def archive(self) -> Archive:
        return Archive(self.store)

    @property
    def stations(self) -> tuple[Account, ...]:
        return _stations(self.settings.stations)

    def session(self, store: ArtifactStore | None = None) -> Session:
        """What a station's operator starts: it knows nothing but the chain, the store and the keys."""
        return open_session(self.settings, self.network, store or self.store, self.keys)

    def run(self, until: int) -> Digest:
        """Bring the head to a round; return its digest."""
        return [result.model for result in run_rounds(self.session(), until)][-1]

    def audit(
        self,
        expected: Sequence[Digest] = (),
        store: ArtifactStore | None = None,
        readers: Sequence[ReaderKey] = (),
    ) -> AuditReport:
        """What an auditor with these keys says."""
        network, keyring = self.network, Keyring(readers)
        archive = Archive(store or self.store)
        auditor = Auditor(network.registry, network.ledger, network.since, archive, Replayer(), keyring)
        return auditor.audit(self.twin, expected=expected)

    def findings(self, expected: Sequence[Digest] = (), store: ArtifactStore | None = None) -> list[Finding]:
        return list(self.audit(expected, store).all_findings())

    def advance(self, seconds: int) -> None:
        """Let time pass on the chain."""
        self.network.chain.rpc("evm_increaseTime", (seconds,))
        self.network.chain.rpc("evm_mine")

    # -- the record -------------------------------------------------------------------------------------------

    def recorded(self, number: int) -> list[UpdateSubmitted]:
        """The updates of a round, ascending by station."""
        ledger, since = self.network.ledger, self.network.since
        events = ledger.events(self.twin, since, kinds=(UpdateSubmitted,), number=number)
        found = [event for event in events if isinstance(event, UpdateSubmitted)]
        return sorted(found, key=lambda event: device_order(event.station))

    def rosters(self) -> list[RosterSet]:
        """All rosters ever set, in the order of the chain."""
        return [e for e in self.network.registry.events(self.network.since) if isinstance(e, RosterSet)]

    def final(self, number: int) -> RoundFinal:
        (event,) = self.network.ledger.events(self.twin, self.network.since, kinds=(RoundFinal,), number=number)
        assert isinstance(event, RoundFinal)
        return event

    def update_manifest(self, event: UpdateSubmitted) -> StationUpdateManifest:
        return self.archive.manifest(StationUpdateManifest, event.update)

    def device_updates(self, event: UpdateSubmitted) -> tuple[DeviceUpdate, ...]:
        """What the devices of an update have sent."""
        manifest = self.update_manifest(event)
        entries = self.archive.index(manifest.index).entries
        return self.archive.payloads(event.update, manifest, entries, Keyring())[0]

    def model_manifest(self, number: int) -> TwinModelManifest:
        return self.archive.manifest(TwinModelManifest, self.network.ledger.model_of(self.twin, number))

    # -- the store --------------------------------------------------------------------------------------------

    def cids(self) -> list[Cid]:
        """Everything that is stored."""
        return sorted(Cid(file.name) for file in self.path.glob("??/*"))

    def overwrite(self, name: Cid | Digest, data: bytes) -> None:
        """Put other bytes where an artifact was, as its store's owner can."""
        cid = cid_of_digest(Digest(name)) if name.startswith("0x") else Cid(name)
        self.store.path_of(cid).write_bytes(data)

    def read(self, name: Cid | Digest) -> bytes:
        cid = cid_of_digest(Digest(name)) if name.startswith("0x") else Cid(name)
        return self.store.path_of(cid).read_bytes()


@lru_cache
def _stations(count: int) -> tuple[Account, ...]:
    return tuple(account(index) for index in range(1, count + 1))


def other_bytes(cid: Cid, actual: Cid) -> str:
    """What the audit says of an artifact whose bytes are another's."""
    return f"artifact {cid}: the store returned other bytes: expected {cid}, got {actual}"


def checks_of(findings: Sequence[Finding]) -> list[tuple[str, str]]:
    """Check and place, where a test says the rest apart."""
    return [(finding.check, finding.where) for finding in findings]
