"""A station that follows the protocol: what it refuses, what it survives, and that a run is one run however it ends."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chain.errors import RecordError
from chain.station import Action, Step
from chain.values import RoundStatus
from scripts.federation_run import run_rounds
from scripts.session import Session
from tests.integration.audit.liar import Liar
from tests.integration.audit.world import World
from twins.contribution import address_of_key
from twins.errors import StoreError
from twins.model import TwinModel
from twins.store import ArtifactStore
from twins.types import ZERO_DIGEST, Address, Cid, Digest
from twins.updates import StationUpdate, device_order, roster_tree

pytestmark = pytest.mark.integration

STRANGER = bytes([7]) * 32


# -- what it refuses to attest to -----------------------------------------------------------------------------------


def forge(liar: Liar, honest: StationUpdate) -> None:
    first, second = honest.updates
    liar.submit([replace(first, signature=b"\x01" * 65), second])


def withhold(liar: Liar, honest: StationUpdate) -> None:
    manifest = liar.submit(honest.updates)
    liar.world.store.path_of(manifest.payloads.cid).unlink()


def poison(liar: Liar, honest: StationUpdate) -> None:
    first, second = honest.updates
    tensors = {name: np.full_like(array, np.nan) for name, array in first.model().tensors.items()}
    liar.submit([liar.signed(first.device, TwinModel(tensors)), second])


def invent(liar: Liar, honest: StationUpdate) -> None:
    liar.submit([*honest.updates, liar.signed(address_of_key(STRANGER), honest.model, key=STRANGER)])


def inflate(liar: Liar, honest: StationUpdate) -> None:
    liar.submit(honest.updates, told={"examples": honest.examples * 1000})


def point_nowhere(liar: Liar, honest: StationUpdate) -> None:
    liar.submit(honest.updates, told={"update": "0x" + "5a" * 32})


@pytest.mark.parametrize(
    ("lie", "check", "action"),
    [
        (forge, "device-signature", Action.PROVED),
        (poison, "finite", Action.DISPUTED),
        (invent, "roster", Action.DISPUTED),
        (inflate, "update-manifest", Action.DISPUTED),
    ],
)
def test_a_wrong_update_is_rejected_by_the_others_and_the_round_goes_on_without_it(
    liar: Liar, lie: Callable[[Liar, StationUpdate], None], check: str, action: Action
) -> None:
    lie(liar, liar.honest())
    liar.others_submit()
    others, actions = liar.session.followers[1:], []
    while liar.world.network.ledger.head(liar.world.twin).number < liar.number:
        for follower in others:
            step = follower.step(liar.number)
            if step is not None:
                actions.append(step.action)
    assert actions[0] is action
    assert actions[-2:] == [Action.ATTESTED] * 2
    assert {update.station for update in liar.world.model_manifest(liar.number).updates} == {
        station.address for station in liar.world.stations[1:]
    }
    report = liar.world.audit()
    assert report.ok
    (rejected,) = (update for update in report.uncounted if update.excluded)
    assert (rejected.station, rejected.round) == (liar.crook.address, liar.number)
    assert check in {finding.check for finding in rejected.findings}
    assert (liar.crook.address, "rejected") in {(incident.who, incident.kind) for incident in report.incidents}


@pytest.mark.parametrize(("lie", "check"), [(withhold, "artifact"), (point_nowhere, "artifact")])
def test_a_station_does_not_attest_when_anothers_evidence_is_wrong(
    liar: Liar, lie: Callable[[Liar, StationUpdate], None], check: str
) -> None:
    lie(liar, liar.honest())
    liar.others_submit()
    for follower in liar.session.followers[1:]:
        with pytest.raises(RecordError, match=rf"update of station {liar.crook.address} is not as recorded") as caught:
            follower.step(liar.number)
        assert f"station {follower.account.address} does not attest" in str(caught.value)
        assert f"\n{check} [{liar.where}" in str(caught.value)
    state = liar.world.network.ledger.round_of(liar.world.twin)
    assert (state.status, state.voted) == (RoundStatus.ATTESTING, 0)
    # The round can't become final: it expires, and the twin goes on without the liar's update.
    liar.world.advance(1200)
    liar.world.run(liar.number + 1)
    assert liar.world.final(liar.number + 1).parent == liar.world.final(3).model


def test_attack_a_station_that_withholds_evidence_does_not_cover_for_another_that_lies(liar: Liar) -> None:
    # About the first in the order of stations nothing can be done yet; the second's forgery is proven all the same.
    pair = (liar, replace(liar, index=1))
    first, second = sorted(pair, key=lambda one: device_order(one.crook.address))
    withhold(first, first.honest())
    forge(second, second.honest())
    honest = liar.session.followers[2]
    steps = [honest.step(liar.number), honest.step(liar.number)]
    assert [step.action for step in steps if step] == [Action.SUBMITTED, Action.PROVED]
    with pytest.raises(RecordError, match=rf"update of station {first.crook.address} is not as recorded"):
        honest.step(liar.number)
    rejected = {i.who for i in liar.world.audit().incidents if i.kind == "rejected"}
    assert rejected == {second.crook.address}


def test_evidence_that_was_withheld_and_is_shown_in_time_is_attested_to(liar: Liar) -> None:
    manifest = liar.submit(liar.honest().updates)
    payloads = liar.world.read(manifest.payloads.cid)
    liar.world.store.path_of(manifest.payloads.cid).unlink()
    liar.others_submit()
    with pytest.raises(RecordError):
        liar.session.followers[1].step(liar.number)
    liar.world.store.put(payloads)
    step = liar.session.followers[1].step(liar.number)
    assert step is not None
    assert step.action is Action.ATTESTED


def test_a_roster_set_after_the_update_in_the_same_block_does_not_count_for_it(liar: Liar) -> None:
    # A crook who mines both together would get honest votes for a device that the audit then finds invented.
    world, invented = liar.world, address_of_key(STRANGER)
    wider = (*liar.roster, invented)
    honest, chain = liar.honest(), world.network.chain
    updates = [*honest.updates, liar.signed(invented, honest.model, key=STRANGER)]
    root = roster_tree(wider).root
    in_one_block(
        world,
        liar.crook.address,
        lambda: liar.submit(updates, roster=wider),
        lambda: world.network.registry.set_roster(liar.crook, root, len(wider)),
    )
    assert world.recorded(4)[0].block == chain.block_number()
    liar.others_submit()
    step = liar.session.followers[1].step(liar.number)
    assert step is not None
    assert step.action is Action.DISPUTED
    assert [finding.check for finding in world.findings()] == ["roster"]


def in_one_block(world: World, sender: Address, *actions: Callable[[], object]) -> None:
    """Have an account's transactions mined together, in this order."""
    chain = world.network.chain

    def pending() -> int:
        return int(chain.rpc("eth_getTransactionCount", (sender, "pending")), 16)

    chain.rpc("evm_setAutomine", (False,))
    try:
        with ThreadPoolExecutor(len(actions)) as pool:
            running = []
            for action in actions:
                before = pending()
                running.append(pool.submit(action))
                while pending() == before and not running[-1].done():
                    time.sleep(0.005)
            chain.rpc("evm_mine")
            for future in running:
                future.result()
    finally:
        chain.rpc("evm_setAutomine", (True,))


# -- what it survives -----------------------------------------------------------------------------------------------


def test_an_expired_round_is_aborted_and_the_next_goes_on(world: World) -> None:
    session = world.session()
    assert step_of(session, 4).action is Action.OPENED
    assert step_of(session, 4).action is Action.SUBMITTED
    world.advance(1200)
    aborted = step_of(session, 5)
    assert (aborted.action, aborted.round, aborted.digest) == (Action.ABORTED, 4, None)
    state = world.network.ledger.round_of(world.twin)
    assert (state.number, state.status) == (4, RoundStatus.ABORTED)
    opened = step_of(session, 5)
    assert (opened.action, opened.round) == (Action.OPENED, 5)
    world.run(5)
    assert world.final(5).parent == world.final(3).model


def test_no_round_is_opened_beyond_the_last(history: World) -> None:
    session = history.session()
    assert [follower.step(3) for follower in session.followers] == [None, None, None]


def step_of(session: Session, until: int) -> Step:
    """Let the first station for which something is due do it."""
    return next(filter(None, (follower.step(until) for follower in session.followers)))


@pytest.fixture(params=["FedAvg", "FedAdam"])
def twice(world: World, request: pytest.FixtureRequest, tmp_path: Path) -> tuple[World, Digest, int]:
    """A world to run in, and the head that an uninterrupted run of the same came to."""
    if request.param != "FedAvg":
        world = replace(world, settings=replace(world.settings, twin="second", strategy=request.param))
    chain = world.network.chain
    until = 5 if request.param == "FedAvg" else 2
    snapshot = chain.rpc("evm_snapshot")
    shutil.copytree(world.path, tmp_path / "uninterrupted")
    head = replace(world, path=tmp_path / "uninterrupted").run(until)
    assert chain.rpc("evm_revert", (snapshot,))
    return world, head, until


def test_a_run_killed_after_every_step_comes_to_the_same_head(twice: tuple[World, Digest, int]) -> None:
    world, head, until = twice
    actions = []
    while world.session().head_round() < until:
        step = step_of(world.session(), until)  # a new process each time: it remembers nothing
        actions.append((step.round, step.action))
    first = until - 1
    one_round = [Action.OPENED, *[Action.SUBMITTED] * 3, *[Action.ATTESTED] * 2]
    assert actions == [(number, action) for number in (first, until) for action in one_round]
    assert world.session().head_model()[:2] == (until, head)
    assert world.findings(expected=(head,)) == []


class Filling(ArtifactStore):
    """A store whose disk is full at the first attempt to write anything new."""

    def __init__(self, store: ArtifactStore) -> None:
        self.store, self.refused = store, set[Cid]()

    def _put(self, cid: Cid, data: bytes) -> None:
        if not self.store.has(cid) and cid not in self.refused:
            self.refused.add(cid)
            raise StoreError(f"cannot store artifact {cid}: No space left on device")
        self.store.put(data)

    def _get(self, cid: Cid) -> bytes:
        return self.store.get(cid)

    def _has(self, cid: Cid) -> bool:
        return self.store.has(cid)


def test_a_disk_full_at_every_write_records_nothing_unpinned_and_comes_to_the_same_head(
    twice: tuple[World, Digest, int],
) -> None:
    world, head, until = twice
    store = Filling(world.store)
    while True:
        before = len(store.refused)
        try:
            list(run_rounds(world.session(store), until))
            break
        except StoreError:
            # One write at least; stations that stored at the same time may each have met one.
            assert before < len(store.refused) <= before + 3
        # Pin before record: what is on the chain can be fetched, whenever the disk was full.
        if world.network.ledger.head(world.twin).model != ZERO_DIGEST:
            assert world.findings() == []
    written = set(world.cids())
    assert len(store.refused) >= 2 * (3 * 3 + 2)
    assert store.refused <= written
    assert world.session().head_model()[:2] == (until, head)
    assert world.findings(expected=(head,)) == []


def test_a_failed_write_sends_nothing(world: World) -> None:
    session = world.session()
    assert step_of(session, 4).action is Action.OPENED
    before = world.network.chain.block_number()
    for _ in range(3):  # model, bundle, manifest; the roster is there already
        with pytest.raises(StoreError):
            world.session(Filling(world.store)).followers[0].step(4)
    assert world.network.chain.block_number() == before
    assert world.network.ledger.round_of(world.twin).submitted == 0
    assert world.run(4) == world.final(4).model


def test_a_step_that_is_recorded_is_not_done_again(world: World) -> None:
    session = world.session()
    step_of(session, 4)
    assert session.followers[0].step(4) is not None
    before = world.network.chain.block_number()
    assert session.followers[0].step(4) is None
    assert world.session().followers[0].step(4) is None
    assert world.network.chain.block_number() == before
