"""A compromised station is removed while the run goes on: by the guardian, or by the others' votes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chain.errors import TwinRegistrySuspended
from chain.station import Action
from tests.integration.attacks.rounds import accepted, finish, incidents
from tests.integration.audit.liar import Liar
from tests.integration.consortium import account
from twins.types import Digest

pytestmark = pytest.mark.integration

EVIDENCE, WRONG = Digest("0x" + "e1" * 32), Digest("0x" + "5a" * 32)


def by_guardian(liar: Liar) -> None:
    liar.world.network.registry.suspend_station(account(0), liar.crook.address, EVIDENCE)


def by_vote(liar: Liar) -> None:
    for station in liar.world.stations[1:]:
        liar.world.network.registry.vote_suspend(station, liar.crook.address, EVIDENCE)


WAYS = pytest.mark.parametrize("remove", [by_guardian, by_vote])


@WAYS
def test_a_station_removed_after_it_submitted_has_neither_update_nor_vote_in_the_round(
    liar: Liar, remove: Callable[[Liar], None]
) -> None:
    world, ledger = liar.world, liar.world.network.ledger
    liar.submit(liar.honest().updates)
    liar.others_submit()
    ledger.attest(liar.crook, world.twin, liar.number, WRONG)
    remove(liar)
    with pytest.raises(TwinRegistrySuspended):
        ledger.attest(liar.crook, world.twin, liar.number, WRONG, WRONG)
    finish(liar)
    assert accepted(liar) == {station.address for station in world.stations[1:]}
    report = world.audit()
    assert report.verdict == "verified"
    assert "suspended" in incidents(report, liar.crook.address)


@WAYS
def test_a_station_removed_before_it_submits_does_not_hold_the_round_up(
    liar: Liar, remove: Callable[[Liar], None]
) -> None:
    remove(liar)
    with pytest.raises(TwinRegistrySuspended):
        liar.submit(liar.honest().updates)
    liar.others_submit()
    assert finish(liar) == [Action.ATTESTED] * 2, "nobody waits for the window's end"
    assert accepted(liar) == {station.address for station in liar.world.stations[1:]}
    assert liar.world.audit().verdict == "verified"


def test_votes_that_were_cast_before_a_removal_are_cast_again_for_the_updates_that_are_left(liar: Liar) -> None:
    world = liar.world
    liar.submit(liar.honest().updates)
    liar.others_submit()
    step = liar.session.followers[1].step(liar.number)
    assert step is not None
    assert step.action is Action.ATTESTED
    by_guardian(liar)
    assert world.network.ledger.votes_for(world.twin, step.digest or WRONG) == 0
    assert finish(liar) == [Action.ATTESTED] * 2
    assert liar.crook.address not in accepted(liar)
    assert world.audit().verdict == "verified"


def test_a_removed_station_that_is_reinstated_takes_part_again_in_the_next_round(liar: Liar) -> None:
    world = liar.world
    by_vote(liar)
    liar.others_submit()
    finish(liar)
    world.network.registry.reinstate_station(account(0), liar.crook.address)
    world.run(liar.number + 1)
    assert {ref.station for ref in world.model_manifest(liar.number + 1).updates} == {
        station.address for station in world.stations
    }
    assert world.audit().verdict == "verified"
