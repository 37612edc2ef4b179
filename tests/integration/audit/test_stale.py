"""Training that comes late: it counts in a later round, once, as stale as the policy allows, and the audit says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.station import Action, StationFollower
from tests.integration.audit.liar import Liar
from tests.integration.audit.world import World
from twins.manifest import TwinPolicy
from twins.types import Digest
from twins.updates import roster_tree

pytestmark = pytest.mark.integration


def take_part(liar: Liar, number: int, followers: tuple[StationFollower, ...]) -> None:
    """Let stations act until a round is final; the rest is away."""
    world = liar.world
    for _ in range(40):
        acted = [follower.step(number) for follower in followers]
        if world.network.ledger.head(world.twin).number == number:
            return
        if not any(acted):
            world.advance(600)
    raise AssertionError(f"round {number} did not become final")


@pytest.fixture
def late(liar: Liar) -> Liar:
    """The first station's devices have trained for round 4 in honesty; its update comes when the window is over."""
    follower = liar.session.followers[0]
    updates = liar.honest().updates
    liar.others_submit()
    liar.world.advance(600)
    liar.submit(updates)
    take_part(liar, liar.number, liar.session.followers[1:])
    assert follower.account == liar.crook
    return liar


def kinds(liar: Liar) -> list[tuple[str, int | None]]:
    return [(i.kind, i.round) for i in liar.world.audit().incidents if i.who == liar.crook.address]


def test_late_training_counts_in_the_next_round_with_its_staleness_recorded(late: Liar) -> None:
    world, number = late.world, late.number + 1
    take_part(late, number, late.session.followers)
    report = world.audit()
    assert (report.verdict, list(report.all_findings())) == ("verified", [])
    (mine,) = (s for s in report.rounds[-1].stations if s.station == late.crook.address)
    assert (mine.round, mine.trained_round, mine.staleness, mine.late) == (number, late.number, 1, False)
    assert len(report.rounds[-1].stations) == 3
    assert kinds(late) == [("missing", late.number), ("late", late.number), ("stale", number)]
    # Then it trains again, from the head.
    take_part(late, number + 1, late.session.followers)
    fresh = next(e for e in world.recorded(number + 1) if e.station == late.crook.address)
    assert (fresh.trained_round, fresh.staleness) == (number + 1, 0)
    assert world.audit().verdict == "verified"


def test_a_station_that_was_away_is_named_missing_and_the_audit_is_clean(late: Liar) -> None:
    world = late.world
    take_part(late, late.number + 1, late.session.followers[1:])
    report = world.audit()
    assert report.verdict == "verified"
    assert [number.missing for number in report.rounds[-2:]] == [(late.crook.address,)] * 2
    assert ("missing", late.number + 1) in kinds(late)


def test_attack_the_same_training_counts_only_once(liar: Liar) -> None:
    # In time and counted in round 4, and submitted once more for round 5.
    number = liar.number + 1
    updates, base = liar.honest().updates, liar.head
    liar.submit(updates)
    take_part(liar, liar.number, liar.session.followers)
    again = open_next(liar)
    again.submit(updates, trained_round=liar.number, base_round=liar.number - 1, base=base)
    again.others_submit()
    take_part(again, number, liar.session.followers[1:])
    assert_excluded(again, "repeated-training")


def test_attack_a_devices_stale_training_at_a_liar_keeps_its_station_from_no_vote(liar: Liar) -> None:
    # The device trains for its own station in round 5. What it signed for the liar in round 4 is no double count to
    # the ledger, which would refuse the proof of one, each time that it is sent.
    world, base, number = liar.world, liar.head, liar.number + 1
    honest = liar.honest().updates
    shared = liar.session.followers[1].roster[0]
    updates = [*honest, liar.signed(shared, honest[0].model())]
    wider = (*liar.roster, shared)
    take_part(liar, liar.number, liar.session.followers[1:])
    again = open_next(liar)
    world.network.registry.set_roster(liar.crook, roster_tree(wider).root, len(wider))
    again.submit(updates, roster=wider, trained_round=liar.number, base_round=liar.number - 1, base=base)
    again.others_submit()
    steps = [follower.step(number) for follower in again.session.followers[1:]]
    assert [step.action for step in steps if step] == [Action.ATTESTED] * 2
    report = world.audit()
    assert (report.verdict, len(report.rounds[-1].stations)) == ("verified", 3)
    assert {i.kind for i in report.incidents if i.who == shared} == {"double-count"}


@pytest.fixture
def strict(world: World) -> Liar:
    """A twin in which only fresh training counts, in its second round."""
    policy = TwinPolicy(None, max_staleness=0, sealed=False)
    mine = replace(world, settings=replace(world.settings, twin="strict", policy=policy))
    mine.run(1)
    return Liar.of(mine)


def test_attack_training_staler_than_the_policy_allows_is_thrown_out(strict: Liar) -> None:
    genesis = strict.world.network.ledger.model_of(strict.world.twin, 0)
    updates = [
        strict.signed(update.device, update.model(), update.examples, base=genesis)
        for update in strict.honest().updates
    ]
    strict.submit(updates, base_round=0, base=genesis)
    strict.others_submit()
    take_part(strict, strict.number, strict.session.followers[1:])
    assert_excluded(strict, "staleness")


def test_late_training_that_is_too_stale_is_not_submitted_again(strict: Liar) -> None:
    updates = strict.honest().updates
    strict.others_submit()
    strict.world.advance(600)
    strict.submit(updates)
    take_part(strict, strict.number, strict.session.followers[1:])
    take_part(strict, strict.number + 1, strict.session.followers)
    mine = next(e for e in strict.world.recorded(strict.number + 1) if e.station == strict.crook.address)
    assert (mine.trained_round, mine.staleness) == (strict.number + 1, 0)
    assert strict.world.audit().verdict == "verified"


def open_next(liar: Liar) -> Liar:
    opened = next(filter(None, (follower.step(liar.number + 1) for follower in liar.session.followers)))
    assert opened.action is Action.OPENED
    return Liar(liar.world, liar.session, liar.number + 1)


def assert_excluded(liar: Liar, check: str) -> None:
    """The others have thrown the crook's update out for this, the model is without it, and the audit says so."""
    report = liar.world.audit()
    assert report.verdict == "verified"
    assert liar.crook.address not in {station.station for station in report.rounds[-1].stations}
    (update,) = (u for u in report.uncounted if u.excluded)
    assert (update.station, [finding.check for finding in update.findings]) == (liar.crook.address, [check])
    assert ("rejected", liar.number) in kinds(liar)
    assert Digest(liar.head) == report.head.model
