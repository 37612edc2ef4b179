"""Every strategy: live and replayed bit for bit, twice the same, and unharmed by a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl.replay import Replayer
from fl.strategies import StrategySpec
from tests.unit.fl.world import Federation, Memory, account, bits, digest_of, genesis, recorded, trainers, update_of
from twins.aggregation import WEIGHTED_MEAN
from twins.errors import AggregationError
from twins.model import TwinModel
from twins.updates import RecordedRound, StationUpdate

pytestmark = pytest.mark.unit

ROUNDS = 3

STRATEGIES = [
    StrategySpec("FedAvg"),
    StrategySpec("FedProx", {"proximal_mu": 0.1}),
    StrategySpec("FedAdam"),
    StrategySpec("FedYogi"),
    StrategySpec("FedAdagrad"),
    StrategySpec("FedAvgM", {"server_momentum": 0.9}),
    StrategySpec("QFedAvg", {"client_learning_rate": 0.1}),
    StrategySpec("Krum"),
    StrategySpec("MultiKrum", {"num_nodes_to_select": 2}),
    StrategySpec("Bulyan"),
    StrategySpec("FedMedian"),
    StrategySpec("FedTrimmedAvg"),
    StrategySpec("twinledger/median"),
    StrategySpec("twinledger/trimmed-mean", {"trim": 0.34}),
    StrategySpec("twinledger/krum", {"malicious": 0}),
    StrategySpec("twinledger/multi-krum", {"malicious": 0, "select": 2}),
]
STATEFUL = [spec for spec in STRATEGIES if spec.name in {"FedAdam", "FedYogi", "FedAdagrad", "FedAvgM"}]


def name_of(spec: StrategySpec) -> str:
    return spec.name


def run(folder: Path, spec: StrategySpec, *, restart_before: tuple[int, ...] = ()) -> Federation:
    federation = Federation(folder, spec)
    for number in range(1, ROUNDS + 1):
        if number in restart_before:
            federation.restart()
        federation.round()
    return federation


def replay(replayer: Replayer, base: TwinModel, update: StationUpdate) -> TwinModel:
    return replayer(
        station=update.station,
        round=update.round,
        rule=update.rule,
        base=base,
        updates=update.updates,
        noise=update.noise,
    )


def results(federation: Federation) -> list[bytes]:
    return bits([update.model for _, updates in federation.history for update in updates])


@pytest.mark.parametrize("spec", STRATEGIES, ids=name_of)
def test_a_strategy_replays_bit_for_bit_and_runs_twice_alike(spec: StrategySpec, tmp_path: Path) -> None:
    federation = run(tmp_path, spec)
    replayer = Replayer()
    for base, updates in federation.history:
        for update in updates:
            assert replay(replayer, base, update) == update.model
    assert results(run(tmp_path, spec)) == results(federation)
    assert federation.model != genesis()


@pytest.mark.parametrize("spec", STATEFUL, ids=name_of)
def test_a_restarted_station_goes_on_with_the_same_bits(spec: StrategySpec, tmp_path: Path) -> None:
    assert results(run(tmp_path, spec, restart_before=(2, 3))) == results(run(tmp_path, spec))


@pytest.mark.parametrize("spec", STATEFUL, ids=name_of)
def test_a_strategy_that_is_called_stateful_is_so(spec: StrategySpec, tmp_path: Path) -> None:
    """Or the tests above would hold for a station that forgets."""
    federation = run(tmp_path, spec)
    base, updates = federation.history[-1]
    last = updates[0]
    assert replay(Replayer(), base, last) != last.model


def test_a_round_that_was_never_recorded_leaves_no_trace(tmp_path: Path) -> None:
    """The station trained, but the chain refused the round: it is learnt again from the record."""
    spec = StrategySpec("FedAdam")
    clean, disturbed = run(tmp_path, spec), Federation(tmp_path, spec)
    disturbed.round()
    other = genesis(99)
    disturbed.trainers[0].learn(other, digest_of(other), 2, disturbed.memories[0])
    disturbed.round()
    disturbed.round()
    assert results(disturbed) == results(clean)


def test_an_uninterrupted_station_does_not_fetch_its_record(tmp_path: Path) -> None:
    federation = run(tmp_path, StrategySpec("FedAdam"))
    assert [memory.loads for memory in federation.memories] == [0, 0]
    federation.restart()
    federation.round()
    assert [memory.loads for memory in federation.memories] == [1, 1]


def test_the_mean_has_no_memory_to_fetch(tmp_path: Path) -> None:
    federation = run(tmp_path, StrategySpec("FedAvg"), restart_before=(2, 3))
    assert [memory.loads for memory in federation.memories] == [0, 0]


def test_a_station_that_changes_its_strategy_starts_without_the_old_ones_rounds_as_the_replay_does(
    tmp_path: Path,
) -> None:
    spec, base = StrategySpec("FedAvgM", {"server_momentum": 0.9}), genesis()
    old = tuple(update_of(f"old {i}", genesis(20 + i), 5) for i in range(3))
    memory = Memory([RecordedRound(1, base, old, WEIGHTED_MEAN, b"")])
    (trainer,) = trainers(tmp_path, stations=1, devices=3, spec=spec)
    replayer = Replayer()
    replayer(station=account("station 0"), round=1, rule=WEIGHTED_MEAN, base=base, updates=old, noise=b"")
    for number in (2, 3):
        update = trainer.learn(base, digest_of(base), number, memory)
        memory.recorded.append(recorded(number, base, update))
        assert replay(replayer, base, update) == update.model
    assert memory.loads == 1


def test_two_stations_share_no_state_in_a_replay() -> None:
    rule, base = StrategySpec("FedAdam").rule, genesis()
    updates = [update_of(f"d {i}", genesis(i)) for i in range(3)]
    alone, both = Replayer(), Replayer()
    expected = alone(station=account("a"), round=1, rule=rule, base=base, updates=updates, noise=b"")
    both(station=account("b"), round=1, rule=rule, base=base, updates=updates, noise=b"")
    assert both(station=account("a"), round=1, rule=rule, base=base, updates=updates, noise=b"") == expected


@pytest.mark.parametrize("spec", STATEFUL, ids=name_of)
def test_a_round_that_fails_is_no_reason_to_doubt_the_later_ones(spec: StrategySpec) -> None:
    """The state begins anew: what follows is aggregated as by a station that has seen nothing before."""
    base, station = genesis(), account("station")
    updates = tuple(update_of(f"d {i}", genesis(20 + i)) for i in range(3))

    def aggregate(replayer: Replayer, number: int, noise: bytes = b"") -> TwinModel:
        return replayer(station=station, round=number, rule=spec.rule, base=base, updates=updates, noise=noise)

    replayer, fresh = Replayer(), Replayer()
    first = aggregate(replayer, 1)
    with pytest.raises(AggregationError, match="expected 0 bytes of noise, got 32"):
        aggregate(replayer, 2, bytes(32))
    assert [aggregate(replayer, number) for number in (3, 4)] == [aggregate(fresh, number) for number in (3, 4)]
    assert aggregate(Replayer(), 1) == first


def test_a_restarted_station_absorbs_a_bad_round_of_its_record_as_the_replay_does(tmp_path: Path) -> None:
    """Or every later update of it would differ from its replay."""
    spec, base = StrategySpec("FedAvgM", {"server_momentum": 0.9}), genesis()
    (trainer,) = trainers(tmp_path, stations=1, devices=3, spec=spec)
    update = trainer.learn(base, digest_of(base), 1, Memory())
    bad = RecordedRound(2, base, (*update.updates, update.updates[0]), spec.rule, b"")
    memory, replayer = Memory([recorded(1, base, update), bad]), Replayer()
    replay(replayer, base, update)
    with pytest.raises(AggregationError, match="expected one update, got two"):
        replayer(station=update.station, round=2, rule=bad.rule, base=base, updates=bad.updates, noise=b"")
    later = trainer.learn(base, digest_of(base), 3, memory)
    assert replay(replayer, base, later) == later.model
