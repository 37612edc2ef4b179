"""One round ahead: what was trained before its base was final counts only if that has become the head."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from chain.values import RoundStatus
from fl.station_trainer import Evaluation, StationTrainer
from scripts.ahead import predict
from scripts.federation_run import run_rounds
from scripts.session import Session
from tests.integration.audit.liar import Liar
from tests.integration.audit.world import ROUNDS, World
from twins.model import TwinModel
from twins.store import DirectoryStore
from twins.types import Cid, Digest
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


def test_what_a_round_gives_is_predicted_before_anybody_has_voted(world: World) -> None:
    session = world.session()
    assert predict(session, ROUNDS) is None, "nothing was trained here"
    until_attesting(session)
    assert predict(session, ROUNDS) is None, "the round before isn't what was trained for"
    predicted = predict(session, ROUNDS + 1)
    assert session.head_round() == ROUNDS
    (result,) = run_rounds(session, ROUNDS + 1)
    assert predicted == result.model


def test_who_has_not_seen_all_of_a_round_predicts_nothing(world: World) -> None:
    until_attesting(world.session())
    session = world.session()
    assert predict(session, ROUNDS + 1) is None
    session.followers[0].train_ahead(ROUNDS + 1, session.head_model()[1])
    assert predict(session, ROUNDS + 1) is None, "one station of three"


def test_a_prediction_that_does_not_come_true_changes_nothing(
    world: World, trainings: Counter[tuple[int, Digest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = world.network.ledger.model_of(world.twin, ROUNDS - 1)
    monkeypatch.setattr("scripts.sweeps.predict", lambda session, number: wrong)
    session = world.session()
    heads = [session.head_model()[1], *(result.model for result in run_rounds(session, ROUNDS + 2))]
    assert trainings[ROUNDS + 2, wrong] > 0, "somebody trained on it"
    del trainings[ROUNDS + 2, wrong]
    assert trainings == {(ROUNDS + 1, heads[0]): 3, (ROUNDS + 2, heads[1]): 3}
    assert {update.base for update in world.recorded(ROUNDS + 2)} == {heads[1]}
    assert world.findings() == []


def test_each_model_is_tested_once_by_each_station(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tested: Counter[Digest] = Counter()
    evaluate = StationTrainer.evaluate

    def counting(self: StationTrainer, model: TwinModel) -> Evaluation:
        tested[model.digest()] += 1
        return evaluate(self, model)

    monkeypatch.setattr(StationTrainer, "evaluate", counting)
    session = world.session()
    list(run_rounds(session, ROUNDS + 2))
    assert sorted(tested.values()) == [3, 3, 3], "the head before, and two models"
    assert session.head_model()[2].digest() in tested


class CountingStore(DirectoryStore):
    """A store that counts what is fetched from it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.fetched: Counter[Cid] = Counter()

    def _get(self, cid: Cid) -> bytes:
        self.fetched[cid] += 1
        return super()._get(cid)


def test_a_station_fetches_the_others_payloads_before_its_vote_and_not_its_own(world: World) -> None:
    store = CountingStore(world.path)
    session = world.session(store)
    until_attesting(session)
    assert session.followers[0].foresee() is not None
    recorded = {event.station: world.update_manifest(event).payloads.cid for event in world.recorded(ROUNDS + 1)}
    own = recorded[session.stations[0].account.address]
    assert {cid: store.fetched[cid] for cid in recorded.values()} == {cid: int(cid != own) for cid in recorded.values()}


def test_payloads_are_fetched_once_for_all_stations_of_a_process(world: World) -> None:
    store = CountingStore(world.path)
    list(run_rounds(world.session(store), ROUNDS + 2))
    for number in (ROUNDS + 1, ROUNDS + 2):
        payloads = [world.update_manifest(event).payloads.cid for event in world.recorded(number)]
        assert [store.fetched[cid] for cid in payloads] == [1, 1, 1], f"round {number}"


def test_nothing_is_foreseen_while_an_update_is_wrong(liar: Liar) -> None:
    honest = liar.honest()
    liar.submit(honest.updates, told={"examples": honest.examples * 1000})
    liar.others_submit()
    assert [follower.foresee() for follower in liar.session.followers[1:]] == [None, None]
