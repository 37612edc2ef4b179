"""Stations that tag, hold and prove by themselves, on a real local chain whose time can jump."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from chain.accounts import Account
from chain.audit_values import AuditPolicy, Mode, Phase, Verdict
from chain.enrolment import enrol_audit, ring_of
from chain.freshness import FreshnessVerifier
from chain.pdp.keys import PrivateKey
from chain.possession import Possession
from chain.possession_audit import audit_possession
from chain.slot_steps import SlotAction, SlotStep
from chain.sync_audit import SyncAudit
from tests.integration.consortium import POLICY, Consortium, digest
from tests.slots import Slots, known_key
from twins.aggregation import Rule
from twins.archive import Archive
from twins.errors import StaleTwinError
from twins.holding import DirectoryHolding
from twins.manifest import TwinModelManifest
from twins.model import TwinModel
from twins.store import DirectoryStore
from twins.twin import Twin
from twins.types import TwinId, twin_id

pytestmark = pytest.mark.integration


@dataclass
class Keys:
    """A tagging key that everybody knows."""

    key: PrivateKey
    count: int = 0

    def current(self) -> PrivateKey:
        return self.key

    def used(self) -> None:
        self.count += 1


@dataclass
class World:
    """Three stations, each with a folder of its own, and one twin."""

    slots: Slots
    folder: Path
    twin: TwinId
    archive: Archive
    stores: list[DirectoryStore]
    parts: list[Possession]
    told: list[SlotStep] = field(default_factory=list)

    @classmethod
    def of(cls, consortium: Consortium, folder: Path, names: tuple[str, ...] = ("pump",)) -> World:
        slots = Slots.of(consortium)
        archive = Archive(DirectoryStore(folder / "everybody"))
        twins = tuple(cls._twin(consortium, slots.audit, archive, name) for name in names)
        stores = [DirectoryStore(folder / f"station-{index}") for index in range(3)]
        parts = [
            Possession.of(
                twins,
                station,
                consortium.registry,
                consortium.ledger,
                slots.audit,
                0,
                archive,
                DirectoryHolding(store),
                Keys(known_key(index)),
            )
            for index, (station, store) in enumerate(zip(consortium.stations, stores, strict=True))
        ]
        for part in parts:
            for tagger in part.taggers:
                tagger.now = iter(range(0, 10**9, 1000)).__next__  # every look is long after the one before
        return cls(slots, folder, twins[0], archive, stores, parts)

    @staticmethod
    def _twin(consortium: Consortium, audit: SyncAudit, archive: Archive, name: str) -> TwinId:
        twin = twin_id(name)
        consortium.registry.register_twin(consortium.admin, twin, digest(name), POLICY)
        weights = {"w": np.random.default_rng(len(name)).random(5000).astype(np.float32)}
        model = archive.put(TwinModel(weights).to_bytes())
        rule = Rule("twinledger/genesis", "1", {})
        manifest = TwinModelManifest(twin, 0, None, (), rule, model, 0, {"name": name})
        consortium.ledger.genesis(consortium.admin, twin, archive.put_manifest(manifest))
        enrol_audit(audit, consortium.registry, consortium.admin, twin)
        return twin

    @property
    def accounts(self) -> tuple[Account, ...]:
        return self.slots.stations

    def look(self, *indices: int, times: int = 4) -> list[SlotStep]:
        """Let stations look (all, if none is named) until nothing is left to do."""
        steps = [step for _ in range(times) for index in indices or range(3) for step in self.parts[index].step()]
        self.told += steps
        return steps

    def slot(self, number: int, *indices: int) -> None:
        """Let stations go through a slot."""
        for phase in (Phase.OPEN, Phase.SEALED, Phase.PROVING, Phase.CLOSED):
            if self.slots.world.chain.timestamp() < self.slots.clock.start_of(number, phase):
                self.slots.go_to(number, phase)
            self.look(*indices)

    def verdicts(self, slot: int) -> list[Verdict]:
        """By station."""
        return [self.slots.audit.verdict(self.twin, a.address, slot) for a in self.accounts]

    def file_of(self, index: int) -> Path:
        """A station's own copy of the model."""
        head = self.slots.world.ledger.head(self.twin)
        return self.stores[index].path_of(self.archive.manifest(TwinModelManifest, head.model).model.cid)


@pytest.fixture
def world(consortium: Consortium, tmp_path: Path) -> Iterator[World]:
    world = World.of(consortium, tmp_path)
    world.slot(0)  # keys, tags and duties are in force from slot 1 on
    yield world
    unforeseen = [step for step in world.told if step.action is SlotAction.FAILED and "can't be" not in step.words]
    assert not unforeseen


def test_three_stations_seed_tag_hold_and_prove_by_themselves(world: World) -> None:
    for number in (1, 2, 3):
        world.slot(number)
        assert world.verdicts(number) == [Verdict.PROVEN] * 3
    found = audit_possession(world.slots.audit, world.twin, 0, [a.address for a in world.accounts])
    assert found.count(Verdict.PROVEN) == 9
    assert (found.verified, found.findings, dict(found.withheld)) == (9, (), {})


def test_a_twin_opens_once_its_head_is_proven_and_not_before(world: World) -> None:
    verifier = FreshnessVerifier(world.slots.world.ledger, world.slots.audit)
    world.slots.go_to(1, Phase.OPEN)
    with pytest.raises(StaleTwinError, match="it never was"):
        Twin.open("pump", world.archive, verifier, max_age=10_000)
    world.slot(1)
    twin = Twin.open("pump", world.archive, verifier, max_age=1200)
    assert twin.head.proven_at == world.slots.clock.start_of(1, Phase.SEALED)
    world.slots.go_to(4, Phase.OPEN)
    with pytest.raises(StaleTwinError, match=r"slot 3: holder 0x\w+ could not prove: the slot has no seed"):
        Twin.open("pump", world.archive, verifier, max_age=1200)


def test_a_copy_that_is_altered_fails_in_the_first_slot_and_only_there(world: World) -> None:
    world.slot(1)
    file = world.file_of(1)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    world.slot(2)
    assert world.verdicts(2) == [Verdict.PROVEN, Verdict.FAILED, Verdict.PROVEN]
    file.unlink()  # whoever mends it: the holder fetches it anew
    world.slot(3)
    assert world.verdicts(3) == [Verdict.PROVEN] * 3
    assert file.read_bytes() != bytes(data)
    found = audit_possession(world.slots.audit, world.twin, 0, [a.address for a in world.accounts])
    assert [(row.slot, row.holder) for row in found.failed] == [(2, world.accounts[1].address)]


def test_a_copy_that_is_gone_is_fetched_anew_after_the_slot_in_which_it_was_missed(world: World) -> None:
    world.slot(1)
    world.file_of(0).unlink()
    world.slot(2)
    assert world.verdicts(2)[0] is Verdict.FAILED
    world.slot(3)
    assert world.verdicts(3) == [Verdict.PROVEN] * 3


def test_a_station_that_was_away_has_failed_and_goes_on(world: World) -> None:
    world.slot(1)
    world.slot(2, 0, 1)
    world.slot(3, 0, 1)
    assert world.verdicts(2) == [Verdict.PROVEN, Verdict.PROVEN, Verdict.FAILED]
    world.slot(4)
    assert world.verdicts(4) == [Verdict.PROVEN] * 3
    found = audit_possession(world.slots.audit, world.twin, 0, [a.address for a in world.accounts])
    away = world.accounts[2].address
    assert found.withheld == {2: (away,), 3: (away,)}
    assert [(row.slot, row.holder) for row in found.failed] == [(2, away), (3, away)]


def test_alone_a_station_makes_no_seed_and_nobody_fails(world: World) -> None:
    world.slot(1, 0)
    assert world.verdicts(1) == [Verdict.VOID] * 3
    world.slot(2)
    assert world.verdicts(2) == [Verdict.PROVEN] * 3


def test_a_new_version_is_tagged_and_proven_from_the_next_slot_on(world: World) -> None:
    world.slot(1)
    ledger = world.slots.world.ledger
    manifest = world.archive.manifest(TwinModelManifest, ledger.head(world.twin).model)
    model = world.archive.put(TwinModel({"w": np.ones(9000, np.float32)}).to_bytes())
    following = world.archive.put_manifest(
        replace(manifest, round=1, parent=manifest.digest, model=model, origin={}, examples=1)
    )
    consortium = world.slots.world
    world.slots.go_to(2, Phase.OPEN)
    consortium.open(world.twin)
    consortium.submit_all(world.twin)
    for station in consortium.stations[:2]:
        ledger.attest(station, world.twin, 1, following)
    assert ledger.head(world.twin).model == following
    world.slot(2)  # still asks for the genesis
    world.slot(3)
    rows = audit_possession(world.slots.audit, world.twin, 0, [a.address for a in world.accounts]).rows
    assert {(row.slot, row.version) for row in rows} == {(1, 0), (2, 0), (3, 1)}
    assert {row.verdict for row in rows} == {Verdict.PROVEN}


def test_after_a_restart_a_station_goes_on_from_what_the_chain_says(world: World, tmp_path: Path) -> None:
    world.slot(1)
    again = World.__new__(World)
    again.__dict__.update(world.__dict__)
    consortium = world.slots.world
    again.parts = [
        Possession.of(
            (world.twin,),
            station,
            consortium.registry,
            consortium.ledger,
            world.slots.audit,
            0,
            world.archive,
            DirectoryHolding(store),
            Keys(known_key(index)),
        )
        for index, (station, store) in enumerate(zip(consortium.stations, world.stores, strict=True))
    ]
    again.told = []
    again.slot(2)
    assert again.verdicts(2) == [Verdict.PROVEN] * 3
    assert not [s for s in again.told if s.action in (SlotAction.TAGGED, SlotAction.KEY, SlotAction.ASSIGNED)]


def test_several_twins_under_one_key_are_proven_together(consortium: Consortium, tmp_path: Path) -> None:
    world = World.of(consortium, tmp_path, ("a", "b", "c"))
    world.slot(0)
    world.slot(1)
    proofs = [step for step in world.told if step.action is SlotAction.PROVEN]
    assert sorted(len(step.twins) for step in proofs) == [3, 3, 3]
    for twin in map(twin_id, ("a", "b", "c")):
        found = audit_possession(world.slots.audit, twin, 0, [a.address for a in world.accounts])
        assert found.count(Verdict.PROVEN) == 3
        assert not found.findings


def test_claims_are_made_where_the_policy_wants_them_and_survive_the_watchers(world: World) -> None:
    consortium = world.slots.world
    policy = AuditPolicy(1 << Mode.OPTIMISTIC, 460, 2, 2, False, 0b111)
    world.slots.audit.set_policy(consortium.admin, world.twin, policy)
    world.slot(1)
    assert world.verdicts(1) == [Verdict.PROVISIONAL] * 3
    world.slots.go_to(3, Phase.OPEN)
    world.look()
    assert world.verdicts(1) == [Verdict.PROVEN] * 3
    found = audit_possession(world.slots.audit, world.twin, 0, [a.address for a in world.accounts])
    assert found.verified == 3
    assert not found.findings


def test_wrong_tags_are_not_served_under_and_the_tagger_is_named(world: World) -> None:
    # Station 0 registers, under its own key, tags that are of other bytes.
    consortium, audit = world.slots.world, world.slots.audit
    world.slots.go_to(1, Phase.OPEN)
    key = known_key(3)
    audit.register_key(consortium.stations[0], key.public)
    head = consortium.ledger.head(world.twin)
    ref = world.archive.manifest(TwinModelManifest, head.model).model
    audit.register_tags(consortium.stations[0], world.twin, key.public.key_id, bytes(31) + b"\1", ref.size, digest("x"))
    world.slot(1)
    world.slot(2)
    failed = [step for step in world.told if step.action is SlotAction.FAILED]
    assert failed
    assert "can't be held" in failed[-1].words or "can't be proven" in failed[-1].words
    assert world.verdicts(2).count(Verdict.FAILED) == 1


def test_who_tags_a_twin_is_drawn_by_hash_and_is_as_many_as_three(world: World) -> None:
    stations = [a.address for a in world.accounts]
    assert ring_of(world.twin, stations) == 0b111
    rings = {ring_of(twin_id(f"t{i}"), [*stations, *(Account.create().address for _ in range(7))]) for i in range(40)}
    assert all(ring.bit_count() == 3 for ring in rings)
    assert len(rings) > 10
