"""Stations whose own store fails, and taggers that publish files that aren't what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chain.audit_values import Phase, Verdict
from chain.pdp.keys import PrivateKey
from chain.pdp.sources import BytesSource, merkle_root
from chain.pdp.tags import HEADER_BYTES, TagDomain, make_tags
from chain.slot_steps import SlotAction
from tests.integration.chain.test_possession import World
from tests.integration.consortium import Consortium
from tests.slots import known_key
from twins.errors import NodeUnreachableError
from twins.holding import Holding, Reader
from twins.manifest import ArtifactRef, TagsManifest, TwinModelManifest
from twins.types import Cid, TwinId, digest_of_bytes, twin_id

pytestmark = pytest.mark.integration


class Failing(Holding):
    """Copies on a node that hangs, for some artifacts or for all, and for a while or for good."""

    def __init__(self, holding: Holding, times: int, only: Cid | None = None) -> None:
        self.holding, self.times, self.only = holding, times, only

    def keep(self, cid: Cid, fetch: Callable[[], bytes]) -> None:
        self._ask(cid)
        self.holding.keep(cid, fetch)

    def open(self, cid: Cid) -> Reader:
        self._ask(cid)
        return self.holding.open(cid)

    def _ask(self, cid: Cid) -> None:
        if self.times and self.only in (None, cid):
            self.times -= 1
            raise NodeUnreachableError(f"read {cid}", {"own node": "no answer within 30 s"})


@pytest.fixture
def worlds(consortium: Consortium, tmp_path: Path) -> Callable[..., World]:
    def start(*names: str) -> World:
        world = World.of(consortium, tmp_path, names)
        world.slot(0)
        world.slot(1)
        world.told.clear()
        return world

    return start


def hang(world: World, index: int, times: int, only: Cid | None = None) -> Failing:
    """Let a station's store fail so many times."""
    holder = world.parts[index].holders[0]
    holder.holding = Failing(holder.holding, times, only)
    return holder.holding


def test_a_store_that_hangs_is_asked_again_while_there_is_time(worlds: Callable[..., World]) -> None:
    world = worlds("pump")
    world.slots.go_to(2, Phase.OPEN)
    world.look()
    world.slots.go_to(2, Phase.SEALED)
    world.look()
    hang(world, 0, 3)
    world.slots.go_to(2, Phase.PROVING)
    world.look(times=6)
    assert world.verdicts(2) == [Verdict.PROVEN] * 3
    told = [step.words for step in world.told if step.action is SlotAction.FAILED]
    assert len(told) == 1  # and not at each look
    assert "can't be proven yet" in told[0]
    assert "no answer within 30 s" in told[0]


def test_a_store_that_hangs_for_good_fails_its_slots_and_keeps_no_value_of_the_seed_back(
    worlds: Callable[..., World],
) -> None:
    world = worlds("pump")
    failing = hang(world, 0, 10**9)
    for number in (2, 3):
        world.slot(number)
        assert world.verdicts(number) == [Verdict.FAILED, Verdict.PROVEN, Verdict.PROVEN]
        assert world.slots.audit.beacon_of(number).withheld == 0
    failing.times = 0
    world.slot(4)
    assert world.verdicts(4) == [Verdict.PROVEN] * 3


@pytest.mark.parametrize("what", ["can't be read", "is altered"])
def test_a_copy_that_fails_keeps_no_other_from_being_proven(worlds: Callable[..., World], what: str) -> None:
    names = ("a", "bb", "ccc")  # of different lengths: their models differ
    world = worlds(*names)
    first = min(map(twin_id, names))
    cid = world.archive.manifest(TwinModelManifest, world.slots.world.ledger.head(first).model).model.cid
    if what == "is altered":
        file = world.stores[0].path_of(cid)
        file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    else:
        hang(world, 0, 10**9, cid)
    world.slot(2)
    holder = world.accounts[0].address
    verdicts = {twin: world.slots.audit.verdict(twin, holder, 2) for twin in map(twin_id, names)}
    assert verdicts.pop(first) is Verdict.FAILED
    assert set(verdicts.values()) == {Verdict.PROVEN}


def test_tags_of_past_versions_are_forgotten(worlds: Callable[..., World]) -> None:
    world = worlds("pump")
    world.slots.go_to(2, Phase.OPEN)
    register(world, known_key(3), lambda tags: tags)
    world.slot(2)
    world.slot(3)
    assert world.verdicts(3) == [Verdict.PROVEN] * 3
    assert [len(part.holders[0]._held) for part in world.parts] == [1, 1, 1]


def register(world: World, key: PrivateKey, spoil: Callable[[bytes], bytes], twin: TwinId | None = None) -> None:
    """Let station 0 tag the head anew under another key, and publish what `spoil` makes of the file."""
    consortium, audit, twin = world.slots.world, world.slots.audit, twin or world.twin
    head = consortium.ledger.head(twin)
    ref = world.archive.manifest(TwinModelManifest, head.model).model
    source, public = BytesSource(world.archive.artifact(ref)), key.public
    root = merkle_root(source, public.block)
    words = (twin, head.number, head.model, public.key_id, root, ref.size, public.block)
    tags = make_tags(source, key, TagDomain(consortium.chain.chain_id, audit.address, *words), workers=1).to_bytes()
    named: ArtifactRef = world.archive.put(spoil(tags))
    manifest = TagsManifest(twin, head.model, ref, public.key_id, public.block, digest_of_bytes(root), named)
    station = consortium.stations[0]
    if int(audit.key_of(public.key_id).owner, 16) == 0:
        audit.register_key(station, public)
    audit.register_tags(station, twin, public.key_id, root, ref.size, world.archive.put_manifest(manifest))


SPOILED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut short": (lambda t: t[:-256], "expected a file of 1352 bytes for 5 blocks, got 1096; its tagger 0x"),
    "cut within its header": (lambda t: t[: HEADER_BYTES - 1], "got 71; its tagger 0x"),
    "longer than its blocks": (lambda t: t + bytes(256), "got 1608; its tagger 0x"),
    "of fewer blocks than it has": (lambda t: t[:68] + bytes(4) + t[72:], "tags of 0 blocks: expected 72 bytes"),
    "no file of tags": (lambda t: bytes(len(t)), "expected a file that begins with"),
    "of another domain": (lambda t: t[:4] + bytes(32) + t[36:], "expected domain"),
    "under another key": (lambda t: t[:36] + bytes(32) + t[68:], "expected domain"),
    "two tags swapped": (lambda t: t[:72] + t[328:584] + t[72:328] + t[584:], "got tags of others"),
    "a tag of zero": (lambda t: t[:72] + bytes(256) + t[328:], "tag 0: expected a number above 0"),
}


def test_a_spoiled_file_of_tags_is_not_served_under_whatever_was_done_to_it(worlds: Callable[..., World]) -> None:
    world = worlds("pump")
    holder = world.parts[1].holders[0]  # in the lane of station 0
    slot = 1
    for what, (spoil, why) in SPOILED.items():
        register(world, PrivateKey.generate(44_497, ceremony="rsa"), spoil)
        slot += 1
        world.slots.go_to(slot, Phase.OPEN)
        (step,) = holder.step(world.slots.clock.read())
        assert step.action is SlotAction.FAILED, what
        assert "can't be held" in step.words, what
        assert why in step.words, (what, step.words)
    register(world, known_key(0), lambda tags: tags)
    world.slot(slot)  # the last one's: nothing can be proven
    assert world.verdicts(slot) == [Verdict.PROVEN, Verdict.FAILED, Verdict.PROVEN]
    world.slot(slot + 1)
    assert world.verdicts(slot + 1) == [Verdict.PROVEN] * 3


def test_the_tags_of_another_twin_with_the_same_bytes_are_not_served_under(worlds: Callable[..., World]) -> None:
    world = worlds("pumps", "valve")  # names of one length: one model
    other = twin_id("valve")
    kept: list[bytes] = []
    world.slots.go_to(2, Phase.OPEN)
    register(world, known_key(3), lambda tags: kept.append(tags) or tags, other)  # type: ignore[func-returns-value]
    register(world, known_key(3), lambda tags: kept[0])
    world.slot(3)
    failed = [step for step in world.told if step.action is SlotAction.FAILED]
    assert failed
    assert all("expected domain" in step.words and step.twins == (world.twin,) for step in failed)
    assert world.verdicts(3).count(Verdict.FAILED) == 1
