"""The driver of the rounds: it asks no round of stations that can't give one, and never waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chain.errors import RecordError, RoundLedgerNoGenesis, UndoneError
from chain.station import Action, Due, Step, Unsettled
from chain.values import RoundStatus
from fl.errors import EngineError
from scripts.federation_run import RoundResult, run_rounds
from scripts.session import Session
from twins.errors import StoreError
from twins.types import TwinId

pytestmark = pytest.mark.unit

PATIENCE = 20.0  # seconds: a test that waits longer has found a deadlock


@dataclass
class Chain:
    """A chain whose blocks come when somebody waits for them."""

    confirmations: int = 0
    blocks: int = 0
    settled: bool = False
    said: list[str] = field(default_factory=list)
    undone: list[Callable[[], None]] = field(default_factory=list)
    """What happens when somebody looks after what was sent, one by one: a reorganisation."""

    def await_block(self) -> None:
        self.blocks += 1
        self._tend()

    def settle(self) -> None:
        self._tend()
        self.settled = True

    def _tend(self) -> None:
        if self.undone:
            self.undone.pop(0)()
            raise UndoneError("0xabc", 122, "the round is final")

    def notice(self, text: str) -> None:
        self.said.append(text)

    def close(self) -> None: ...

    looking: object = None
    looks: int = 0

    @contextmanager
    def look(self) -> Iterator[None]:
        self.looks, self.looking = self.looks + 1, "the look"
        yield
        self.looking = None


@dataclass
class World:
    """A head, a round, and stations that do what they are told."""

    status: RoundStatus = RoundStatus.NONE
    number: int = 0
    head: int = 0
    asked: list[int] = field(default_factory=list)
    chain: Chain = field(default_factory=Chain)
    foreseen: str | None = None
    missing: bool = False
    ahead: list[tuple[int, str]] = field(default_factory=list)
    """Trainings before their base was final: for which round, from which base."""
    training: Callable[[World], None] = lambda world: None
    trains: threading.Event = field(default_factory=threading.Event)

    def session(self, *stations: Act) -> Session:
        def follower(act: Act) -> SimpleNamespace:
            def due(until: int) -> Due | Unsettled | None:
                self.asked.append(until)
                made = act(self, until)
                return (
                    Due(made.action, made.round, lambda: made.receipt, made.digest) if isinstance(made, Step) else made
                )

            def foresee() -> str | None:
                if self.missing:
                    raise StoreError("the evidence can't be fetched yet")
                return self.foreseen

            def train_ahead(number: int, base: str) -> None:
                self.ahead.append((number, base))
                self.training(self)

            return SimpleNamespace(
                due=due,
                twin="twin",
                roster=("device", "device"),
                foresee=foresee,
                train_ahead=train_ahead,
                base_model=lambda model: f"weights of {model}",
            )

        def state(twin: str) -> SimpleNamespace:
            return SimpleNamespace(number=self.number, status=self.status, quorum=2, electorate=0b111, voted=0b1)

        return cast(
            Session,
            SimpleNamespace(
                twin="twin",
                notice=None,
                trained_until=0.0,
                followers=[follower(act) for act in stations],
                at_once=1,
                network=SimpleNamespace(ledger=SimpleNamespace(round_of=state), chain=self.chain),
                head_round=lambda: self.head,
                head_model=lambda: (self.head, f"model {self.head}", "weights"),
                evaluate=lambda weights: f"evaluation of {weights}",
                stations=(),
                merged_updates=lambda model: len(stations),
            ),
        )


Act = Callable[[World, int], Step | Due | Unsettled | None]


def step(action: Action, number: int, gas: int) -> Step:
    return Step(action, number, cast(Any, SimpleNamespace(gas_used=gas)))


def idle(world: World, until: int) -> Step | None:
    return None


def diligent(world: World, until: int) -> Step:
    """A whole round at once."""
    world.number = world.head = world.head + 1
    world.status = RoundStatus.FINAL
    return step(Action.ATTESTED, world.head, 100)


def test_stations_that_all_have_nothing_to_do_are_an_error_that_names_the_votes() -> None:
    world = World(RoundStatus.ATTESTING, number=1)
    with pytest.raises(RecordError, match=r"round 1 is attesting .* expected 2 votes of 3 stations, got 1"):
        list(run_rounds(world.session(idle, idle, idle), 5))
    assert len(world.asked) == 3, "each was asked once: no endless loop"


def test_a_head_that_is_there_asks_nothing_of_anybody() -> None:
    world = World(RoundStatus.FINAL, number=5, head=5)
    assert list(run_rounds(world.session(idle), 5)) == []
    assert list(run_rounds(world.session(idle), 3)) == []
    assert world.asked == []


def test_each_round_is_told_when_it_is_final_with_its_parent_and_gas() -> None:
    world = World()
    told: list[RoundResult] = list(run_rounds(world.session(idle, diligent, idle), 3))
    assert [(r.number, r.parent, r.model, r.gas) for r in told] == [
        (1, "model 0", "model 1", 100),
        (2, "model 1", "model 2", 100),
        (3, "model 2", "model 3", 100),
    ]
    assert {(r.stations, r.devices) for r in told} == {(3, 6)}
    assert all(r.seconds >= 0 and set(r.phases) == {"train", "record", "merge", "evaluate"} for r in told)


def test_nothing_beyond_the_last_round_is_begun() -> None:
    world = World()
    session = world.session(diligent, diligent, diligent)
    assert [result.number for result in run_rounds(session, 1)] == [1]
    # The first made round 1 final; the others would have begun round 2.
    assert world.asked == [1]


def test_an_aborted_round_does_not_use_up_the_last_number() -> None:
    world = World(RoundStatus.ABORTED, number=5, head=4)
    list(run_rounds(world.session(diligent), 5))
    assert world.asked == [6]


def test_a_station_that_fails_stops_the_run_with_its_own_words() -> None:
    def failing(world: World, until: int) -> Step | None:
        raise RecordError("the update of station B is not as recorded")

    with pytest.raises(RecordError, match="station B"):
        list(run_rounds(World().session(idle, failing, diligent), 1))


def test_votes_wait_for_the_blocks_on_top_of_what_they_are_about() -> None:
    world = World(RoundStatus.ATTESTING, chain=Chain(confirmations=3))

    def careful(world: World, until: int) -> Step | Unsettled | None:
        return diligent(world, until) if world.chain.blocks == 3 else Unsettled(1)

    assert [result.number for result in run_rounds(world.session(careful), 1)] == [1]
    assert world.chain.settled, "a run that is over is settled"


def refused_twice(world: World, until: int) -> Step | None:
    if world.chain.blocks < 2:
        raise RoundLedgerNoGenesis(TwinId("0x" + "ab" * 32))
    return diligent(world, until)


def test_a_step_that_a_reorganisation_made_void_is_decided_anew() -> None:
    world = World(chain=Chain(confirmations=3))
    assert [result.number for result in run_rounds(world.session(refused_twice), 1)] == [1]
    assert len(world.chain.said) == 2


def test_a_step_found_undone_while_another_is_decided_anew_ends_no_run() -> None:
    world = World(chain=Chain(confirmations=3, undone=[lambda: None]))
    assert [result.number for result in run_rounds(world.session(refused_twice), 1)] == [1]


def test_a_vote_that_the_last_round_did_without_ends_no_run() -> None:
    world = World(chain=Chain(confirmations=3, undone=[lambda: None, lambda: None]))
    assert [result.number for result in run_rounds(world.session(diligent), 1)] == [1]
    assert world.chain.settled
    assert [text.count("undid block 122") for text in world.chain.said] == [1, 1]


def test_a_last_round_that_a_reorganisation_undid_is_run_again() -> None:
    world = World()

    def undo() -> None:
        world.head = 1

    world.chain = Chain(confirmations=3, undone=[undo])
    told = [(result.number, result.parent) for result in run_rounds(world.session(diligent), 2)]
    assert told == [(1, "model 0"), (2, "model 1"), (2, "model 1")]
    assert world.chain.settled


def test_a_chain_that_undoes_nothing_has_no_second_try() -> None:
    with pytest.raises(RoundLedgerNoGenesis):
        list(run_rounds(World().session(refused_twice), 1))


def test_a_step_that_is_refused_again_and_again_is_a_fault() -> None:
    def refused(world: World, until: int) -> Step | None:
        raise RoundLedgerNoGenesis(TwinId("0x" + "ab" * 32))

    world = World(chain=Chain(confirmations=3))
    with pytest.raises(RoundLedgerNoGenesis):
        list(run_rounds(world.session(refused), 1))
    assert world.chain.blocks == 4


def test_votes_beyond_the_quorum_are_not_sent() -> None:
    world = World(RoundStatus.ATTESTING, number=1, chain=Chain(confirmations=3))

    def voting(world: World, until: int) -> Step | None:
        world.head, world.status = 1, RoundStatus.FINAL
        return step(Action.ATTESTED, 1, 100)

    (result,) = run_rounds(world.session(voting, voting, voting), 1)
    assert result.gas == 100, "one vote was there, two were wanted"


@pytest.mark.parametrize(("action", "looks"), [(Action.ATTESTED, 1), (Action.DISPUTED, 2), (Action.PROVED, 2)])
def test_stations_share_a_look_until_one_has_done_what_changes_the_others_view(action: Action, looks: int) -> None:
    world = World(RoundStatus.ATTESTING, number=1)

    def last(world: World, until: int) -> Step:
        world.head, world.status = 1, RoundStatus.FINAL
        return step(Action.ATTESTED, 1, 100)

    def first(world: World, until: int) -> Step:
        return last(world, until) if action is Action.ATTESTED else step(action, 1, 100)

    list(run_rounds(world.session(first, last), 1))
    assert world.chain.looks == looks
    assert world.chain.looking is None


# -- one round ahead ------------------------------------------------------------------------------------------------


def vote(world: World, until: int) -> Due:
    """A vote that decides, as soon as it is mined: not before devices train for the next round."""

    def send() -> Any:
        assert world.trains.wait(PATIENCE), "nobody trains while the vote is recorded"
        return diligent(world, until).receipt

    return Due(Action.ATTESTED, world.head + 1, send, cast(Any, f"model {world.head + 1}"))


def attesting(**options: Any) -> World:
    world = World(RoundStatus.ATTESTING, number=1, **options)
    world.training = lambda world: world.trains.set()
    return world


@pytest.mark.parametrize("confirmations", [0, 3])
def test_devices_train_for_the_next_round_while_the_votes_are_recorded(confirmations: int) -> None:
    world = attesting(chain=Chain(confirmations=confirmations))
    first, _ = run_rounds(world.session(vote), 2)
    assert first.number == 1
    assert world.ahead == [(2, "model 1")]


def test_devices_train_while_the_updates_settle() -> None:
    world = attesting(chain=Chain(confirmations=3), foreseen="model 1")

    def careful(world: World, until: int) -> Step | Unsettled:
        if not world.chain.blocks:
            return Unsettled(1)
        assert world.trains.wait(PATIENCE), "nobody trains while the updates settle"
        return diligent(world, until)

    assert [result.number for result in run_rounds(world.session(careful), 2)] == [1, 2]
    assert world.ahead == [(2, "model 1")]


def test_nobody_trains_for_a_round_that_wont_be() -> None:
    world = attesting()
    world.trains.set()
    list(run_rounds(world.session(vote), 1))
    assert world.ahead == []


@pytest.mark.parametrize("missing", [False, True])
def test_nobody_trains_on_what_cant_be_foreseen(missing: bool) -> None:
    world = attesting(chain=Chain(confirmations=3), missing=missing)
    list(run_rounds(world.session(lambda w, u: diligent(w, u) if w.chain.blocks else Unsettled(1)), 2))
    assert world.ahead == []


def test_a_training_ahead_that_fails_is_told_only_when_its_round_has_come() -> None:
    def fail(world: World) -> None:
        world.trains.set()
        raise EngineError("no device has answered")

    world = attesting()
    world.training = fail
    assert [result.number for result in run_rounds(world.session(vote), 2)] == [1, 2]


def test_a_vote_that_fails_ends_the_run_whatever_was_trained() -> None:
    def refused(world: World, until: int) -> Due:
        def send() -> Any:
            assert world.trains.wait(PATIENCE)
            raise RoundLedgerNoGenesis(TwinId("0x" + "ab" * 32))

        return Due(Action.ATTESTED, 1, send, cast(Any, "model 1"))

    with pytest.raises(RoundLedgerNoGenesis):
        list(run_rounds(attesting().session(refused), 2))


def test_few_stations_are_ahead() -> None:
    world = attesting()
    trained = iter(range(99))

    def train(world: World) -> None:
        if next(trained) == 2:
            world.trains.set()

    world.training = train
    list(run_rounds(world.session(vote, idle, idle, idle, idle), 2))
    assert world.ahead == [(2, "model 1")] * 3


def test_an_interrupt_while_devices_train_ahead_ends_the_run() -> None:
    def interrupt(world: World) -> None:
        world.trains.set()
        raise KeyboardInterrupt

    world = attesting()
    world.training = interrupt
    with pytest.raises(KeyboardInterrupt):
        list(run_rounds(world.session(vote), 2))
