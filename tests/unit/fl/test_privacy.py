"""Differential privacy: Flower's wrappers, bounded, drawn from the recorded noise, and replayed bit for bit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from flwr.supercore import differential_privacy
from hypothesis import given, settings
from hypothesis import strategies as st

from fl.errors import StrategyError, UpdateRejectedError
from fl.privacy import PrivacySpec, drawn_from, noise_of
from fl.replay import Replayer
from fl.strategies import StrategySpec
from fl.tier1 import Aggregator
from tests.unit.fl.hostile import BAD, LOSS, replied, signed
from tests.unit.fl.liar import World
from tests.unit.fl.private import ADAPTIVE, CLIENT, FIXED, KIND, ZERO, name_of, seed
from tests.unit.fl.world import (
    Federation,
    Memory,
    bits,
    device,
    digest_of,
    genesis,
    recorded,
    trainers,
    update_of,
)
from twins.model import TwinModel
from twins.updates import RejectionReason, StationUpdate, update_norm

pytestmark = pytest.mark.unit

ROUNDS = 3
SPECS = [
    *(StrategySpec("FedAvg", {}, privacy) for privacy in KIND),
    StrategySpec("FedProx", {"proximal_mu": 0.1}, FIXED),
]


def run(folder: Path, spec: StrategySpec, *, restart_before: tuple[int, ...] = ()) -> Federation:
    federation = Federation(folder, spec)
    for number in range(1, ROUNDS + 1):
        if number in restart_before:
            federation.restart()
        federation.round()
    return federation


def models(federation: Federation) -> list[bytes]:
    return bits([update.model for _, updates in federation.history for update in updates])


def replay(replayer: Replayer, base: TwinModel, update: StationUpdate, noise: bytes | None = None) -> TwinModel:
    return replayer(
        station=update.station,
        round=update.round,
        rule=update.rule,
        base=base,
        updates=update.updates,
        noise=update.noise if noise is None else noise,
    )


def private(privacy: PrivacySpec) -> Aggregator:
    return Aggregator(StrategySpec("FedAvg", {}, privacy))


def constant(value: float) -> TwinModel:
    """A model whose distance from zero is ``value``."""
    return TwinModel({"w": np.full(1000, value / math.sqrt(1000), np.float32)})


@pytest.mark.parametrize("spec", SPECS, ids=name_of)
def test_a_private_aggregate_replays_bit_for_bit_and_runs_twice_alike(spec: StrategySpec, tmp_path: Path) -> None:
    federation = run(tmp_path, spec)
    replayer = Replayer()
    for base, updates in federation.history:
        for update in updates:
            assert len(update.noise) == 32
            assert replay(replayer, base, update) == update.model
    assert models(run(tmp_path, spec)) == models(federation)


@pytest.mark.parametrize("spec", SPECS, ids=name_of)
def test_a_restarted_station_goes_on_with_the_same_bits(spec: StrategySpec, tmp_path: Path) -> None:
    assert models(run(tmp_path, spec, restart_before=(2, 3))) == models(run(tmp_path, spec))


def test_the_clipping_norm_that_adapts_is_state() -> None:
    """Or the test above would hold for a station that forgets."""
    updates = [update_of(f"d{i}", constant(5.0)) for i in range(3)]
    forgetful, remembering = private(ADAPTIVE), private(ADAPTIVE)
    remembering.aggregate(1, ZERO, updates, seed("1"))
    assert remembering.aggregate(2, ZERO, updates, seed("2")) != forgetful.aggregate(2, ZERO, updates, seed("2"))


@pytest.mark.parametrize("privacy", KIND, ids=name_of)
def test_other_noise_gives_another_aggregate(privacy: PrivacySpec, tmp_path: Path) -> None:
    (trainer,) = trainers(tmp_path, stations=1, devices=3, spec=StrategySpec("FedAvg", {}, privacy))
    update = trainer.learn(genesis(), digest_of(genesis()), 1, Memory())
    assert replay(Replayer(), genesis(), update) == update.model
    assert replay(Replayer(), genesis(), update, seed("another")) != update.model


@pytest.mark.parametrize("noise", [b"", bytes(31), bytes(64)])
def test_attack_a_record_without_its_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(StrategyError, match=f"expected 32 bytes of noise, got {len(noise)}"):
        private(FIXED).aggregate(1, ZERO, [update_of("d", constant(0.1))], noise)


def test_noise_beside_a_rule_that_draws_none_is_refused() -> None:
    with pytest.raises(StrategyError, match="expected 0 bytes of noise, got 32"):
        Aggregator(StrategySpec()).aggregate(1, ZERO, [update_of("d", constant(0.1))], bytes(32))


def test_noise_depends_on_all_that_is_aggregated() -> None:
    """A station that trains again for a round must not add the same noise twice: the difference would be bare."""
    base, one, other = digest_of(genesis()), update_of("a", constant(1.0)), update_of("b", constant(2.0))
    drawn = {
        noise_of(seed("s"), base, [one]),
        noise_of(seed("s"), base, [other]),
        noise_of(seed("s"), base, [one, other]),
        noise_of(seed("s"), digest_of(ZERO), [one]),
        noise_of(seed("t"), base, [one]),
    }
    assert len(drawn) == 5
    assert noise_of(seed("s"), base, [one]) == noise_of(seed("s"), base, [one])


def test_a_short_seed_is_refused() -> None:
    with pytest.raises(StrategyError, match="expected 32 bytes, got 16"):
        noise_of(bytes(16), digest_of(genesis()), [])


def test_numpys_generator_is_left_as_it_was_also_after_an_error() -> None:
    before = np.random.get_state()
    with drawn_from(seed("a")):
        first = np.random.normal(size=5)
    with pytest.raises(KeyError), drawn_from(seed("a")):
        raise KeyError
    with drawn_from(seed("a")):
        assert np.array_equal(np.random.normal(size=5), first)
    after = np.random.get_state()
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))  # type: ignore[call-overload]


@pytest.mark.parametrize("privacy", [FIXED, ADAPTIVE], ids=name_of)
def test_one_device_moves_the_mean_by_no_more_than_the_clipping_norm_over_their_number(privacy: PrivacySpec) -> None:
    """However far it goes, and however many examples it claims: that is what the noise is measured for."""
    quiet = PrivacySpec(privacy.kind, {**privacy.arguments, "noise_multiplier": 0.0})
    honest = [update_of(f"d{i}", constant(0.01)) for i in range(3)]
    still, liar = update_of("liar", ZERO), update_of("liar", constant(1e6), examples=2**32)
    without = private(quiet).aggregate(1, ZERO, [*honest, still], seed("n"))
    attacked = private(quiet).aggregate(1, ZERO, [*honest, liar], seed("n"))
    assert update_norm(attacked, without) == pytest.approx(0.5 / 4, rel=1e-5)


@pytest.mark.parametrize("devices", [1, 2, 10])
def test_the_noise_is_measured_for_the_devices_that_are_in_the_mean(devices: int) -> None:
    """Not for the roster: with those that failed counted too, it would be too little."""
    updates = [update_of(f"d{i}", ZERO) for i in range(devices)]
    result = private(PrivacySpec("fixed", {"noise_multiplier": 2.0, "clipping_norm": 3.0}))
    noise = result.aggregate(1, ZERO, updates, seed("n")).tensors["w"]
    assert float(noise.std()) == pytest.approx(6.0 / devices, rel=0.1)
    assert abs(float(noise.mean())) < 6.0 / devices * 0.15


@pytest.mark.parametrize(("distance", "grows"), [(5.0, True), (0.001, False)])
def test_the_clipping_norm_follows_the_devices(distance: float, grows: bool) -> None:
    """Up while all are clipped, down while none is (Andrew et al., 2021, algorithm 1): Flower's own goes astray."""
    aggregator = private(PrivacySpec("adaptive", {"noise_multiplier": 0.0, "initial_clipping_norm": 0.5}))
    updates = [update_of(f"d{i}", constant(distance)) for i in range(3)]
    reached = [update_norm(aggregator.aggregate(n, ZERO, updates, seed("n")), ZERO) for n in range(1, 40)]
    if grows:
        assert reached[0] == pytest.approx(0.5)
        assert reached[1] == pytest.approx(0.5 * math.exp(0.2 * 0.5))
        assert max(reached) == pytest.approx(distance, rel=1e-3)
    else:
        assert reached == pytest.approx([distance] * 39)


def test_attack_a_device_that_sends_the_base_unchanged_does_not_end_the_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flower would divide by its norm (https://github.com/flwrlabs/flower/pull/7631)."""
    for privacy in KIND:
        world = World(tmp_path, monkeypatch, StrategySpec("FedAvg", {}, privacy))
        world.hostile.tamper = lambda q, r: replied(q, signed(q, genesis(), LOSS))
        assert world.learn(1).rejections == ()


def test_devices_clip_before_they_sign(tmp_path: Path) -> None:
    specs = [StrategySpec("FedAvg", {}, CLIENT), StrategySpec()]
    clipped, plain = (
        trainers(tmp_path, stations=1, devices=3, spec=spec)[0].learn(genesis(), digest_of(genesis()), 1, Memory())
        for spec in specs
    )
    assert clipped.rejections == ()
    for update, whole in zip(clipped.updates, plain.updates, strict=True):
        assert update.device == whole.device
        free = update_norm(whole.model(), genesis())
        assert free > 0.5
        assert update_norm(update.model(), genesis()) == pytest.approx(0.5, rel=1e-5)


def test_attack_a_device_that_does_not_clip_is_refused_and_a_station_that_lets_it_through_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its influence would be more than the noise hides."""
    world = World(tmp_path, monkeypatch, StrategySpec("FedAvg", {}, CLIENT))
    world.hostile.tamper = lambda q, r: replied(q, signed(q, genesis(99), LOSS))
    rejection = world.rejected(1)
    assert rejection.reason is RejectionReason.NORM
    with pytest.raises(UpdateRejectedError, match="expected it clipped") as caught:
        private(CLIENT).aggregate(1, genesis(), [update_of(f"device {BAD}", genesis(99))], seed("n"))
    assert caught.value.device == device(BAD)


def test_a_norm_that_adapts_beyond_all_bounds_is_a_clear_error() -> None:
    wild = PrivacySpec("adaptive", {"noise_multiplier": 0.0, "clip_norm_lr": 1e5})
    aggregator = private(wild)
    updates = [update_of(f"d{i}", constant(5.0)) for i in range(3)]
    with pytest.raises(StrategyError, match="FedAvg cannot aggregate 3 updates"):
        aggregator.aggregate(1, ZERO, updates, seed("1"))


def test_flowers_clipping_measures_by_the_exact_norm() -> None:
    arrays = [np.array([3.0, 0.0]), np.array([[4.0]])]
    assert differential_privacy.get_norm(arrays) == 5.0
    assert differential_privacy.get_norm([np.zeros(3)]) > 0
    differential_privacy.clip_inputs_inplace(arrays, 1.0)
    assert np.allclose(arrays[0], [0.6, 0.0])


@settings(max_examples=25)
@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_the_order_of_the_weights_changes_no_bit_of_the_norm(values: list[float], random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert differential_privacy.get_norm([np.array(values)]) == differential_privacy.get_norm([np.array(shuffled)])


def test_a_record_of_private_rounds_replays_after_the_station_has_restarted(tmp_path: Path) -> None:
    spec = StrategySpec("FedAvg", {}, ADAPTIVE)
    memory = Memory()
    (trainer,) = trainers(tmp_path, stations=1, devices=3, spec=spec)
    for number in (1, 2):
        memory.recorded.append(
            recorded(number, genesis(), trainer.learn(genesis(), digest_of(genesis()), number, memory))
        )
    (restarted,) = trainers(tmp_path, stations=1, devices=3, spec=spec)
    expected = trainer.learn(genesis(), digest_of(genesis()), 3, memory)
    assert restarted.learn(genesis(), digest_of(genesis()), 3, memory) == expected
    assert memory.loads == 1
