"""One round ahead: what was trained before its base was final counts only if that has become the head."""

from __future__ import annotations

from collections import Counter

import pytest

from chain.values import RoundStatus
from fl.station_trainer import StationTrainer
from scripts.federation_run import run_rounds
from scripts.session import Session
from tests.integration.audit.liar import Liar
from tests.integration.audit.world import ROUNDS, World
from twins.types import Digest
from twins.updates import StationUpdate

pytestmark = pytest.mark.integration


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, Digest]]:
    """How often stations trained, by round and base."""
    counted: Counter[tuple[int, Digest]] = Counter()
    learn = StationTrainer.learn

    def counting(self: StationTrainer, *args: object) -> StationUpdate:
        counted[args[2], args[1]] += 1  # type: ignore[index]
        return learn(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(StationTrainer, "learn", counting)
    return counted


def until_attesting(session: Session) -> None:
    """Open the next round and record the updates of all, but no vote."""
    number, ledger = session.head_round() + 1, session.network.ledger
    while True:
        for follower in session.followers:
            if ledger.round_of(session.twin).status is RoundStatus.ATTESTING:
                return
            follower.step(number)


def test_no_station_trains_twice_for_a_round(world: World, trainings: Counter[tuple[int, Digest]]) -> None:
    session = world.session()
    heads = [session.head_model()[1], *(result.model for result in run_rounds(session, ROUNDS + 2))]
    assert trainings == {(ROUNDS + 1, heads[0]): 3, (ROUNDS + 2, heads[1]): 3}


def test_what_was_trained_for_another_head_is_forgotten(world: World, trainings: Counter[tuple[int, Digest]]) -> None:
    session = world.session()
    other, head = world.network.ledger.model_of(world.twin, ROUNDS - 1), session.head_model()[1]
    for follower in session.followers:
        follower.train_ahead(ROUNDS + 1, other)
    list(run_rounds(session, ROUNDS + 1))
    assert trainings == {(ROUNDS + 1, other): 3, (ROUNDS + 1, head): 3}
    assert {update.base for update in world.recorded(ROUNDS + 1)} == {head}
    assert world.findings() == []


def test_what_the_votes_will_make_final_is_foreseen_by_every_station(world: World) -> None:
    session = world.session()
    assert [follower.foresee() for follower in session.followers] == [None] * 3, "no round is being attested to"
    until_attesting(session)
    foreseen = {follower.foresee() for follower in session.followers}
    assert session.head_round() == ROUNDS, "to foresee is not to vote"
    (result,) = run_rounds(session, ROUNDS + 1)
    assert foreseen == {result.model}


def test_nothing_is_foreseen_while_an_update_is_wrong(liar: Liar) -> None:
    honest = liar.honest()
    liar.submit(honest.updates, told={"examples": honest.examples * 1000})
    liar.others_submit()
    assert [follower.foresee() for follower in liar.session.followers[1:]] == [None, None]
