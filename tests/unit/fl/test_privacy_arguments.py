"""Privacy by name and arguments: on a command line, in a recorded rule, and what manifests can't smuggle in."""

from __future__ import annotations

from pathlib import Path

import flwr
import pytest

from fl.errors import StrategyError
from fl.privacy import KINDS, PrivacySpec
from fl.replay import Replayer
from fl.strategies import StrategySpec, spec_of
from tests.unit.fl.private import FIXED, KIND, ZERO, name_of, seed
from tests.unit.fl.world import device, trainers, update_of
from twins import canonical
from twins.aggregation import Rule
from twins.errors import AggregationError

pytestmark = pytest.mark.unit


def test_the_rule_records_the_privacy_and_reads_it_again() -> None:
    rule = StrategySpec("FedProx", {"proximal_mu": 0.5}, FIXED).rule
    expected = {"kind": "fixed", "version": 1, "arguments": {"clipping_norm": 0.5, "noise_multiplier": 0.1}}
    assert rule == Rule("flwr/FedProx", flwr.__version__, {"proximal_mu": 0.5, "privacy": expected})
    assert spec_of(Rule(rule.name, rule.version, canonical.decode(canonical.encode(rule.parameters)))) == StrategySpec(
        "FedProx", {"proximal_mu": 0.5}, FIXED
    )


@pytest.mark.parametrize("privacy", KIND, ids=name_of)
def test_a_recorded_privacy_is_the_one_that_was_used(privacy: PrivacySpec) -> None:
    assert PrivacySpec.from_json(canonical.decode(canonical.encode(privacy.to_json()))) == privacy


@pytest.mark.parametrize(
    "body",
    [
        None,
        "fixed",
        [],
        {},
        {**FIXED.to_json(), "more": 1},
        {**FIXED.to_json(), "version": 2},
        {**FIXED.to_json(), "version": True},
        {**FIXED.to_json(), "kind": ["fixed"]},
        {**FIXED.to_json(), "kind": "local"},
        {**FIXED.to_json(), "arguments": []},
        {**FIXED.to_json(), "arguments": {"noise_multiplier": 1, "clipping_norm": 1, "num_sampled_clients": 10**9}},
        {**FIXED.to_json(), "arguments": {"noise_multiplier": 1, "clipping_norm": True}},
    ],
)
def test_attack_a_rule_with_privacy_that_no_station_can_have_used_is_refused(body: object) -> None:
    rule = Rule("flwr/FedAvg", flwr.__version__, {"privacy": body})  # type: ignore[dict-item]
    with pytest.raises(AggregationError):
        Replayer()(station=device(0), round=1, rule=rule, base=ZERO, updates=[update_of("d", ZERO)], noise=seed("n"))


@pytest.mark.parametrize("name", ["Krum", "FedMedian", "FedAdam", "FedAvgM", "tests.unit.fl.own_strategy:Halfway"])
def test_privacy_is_for_means_only(name: str) -> None:
    """The noise is measured for what one device can do to a mean; Flower would wrap anything."""
    with pytest.raises(StrategyError, match="measured for a mean"):
        StrategySpec(name, {}, FIXED)


def test_a_strategys_argument_cannot_pass_for_privacy() -> None:
    with pytest.raises(StrategyError, match="that name is taken"):
        StrategySpec("tests.unit.fl.own_strategy:Halfway", {"privacy": FIXED.to_json()})


def test_privacy_is_read_from_a_command_line() -> None:
    spec = StrategySpec.parse("FedAvg", [], "fixed", ["noise_multiplier=0.1", "clipping_norm=0.5"])
    assert spec.privacy == FIXED == PrivacySpec.parse("fixed", ["noise_multiplier=0.1", "clipping_norm=0.5"])
    assert StrategySpec.parse("FedAvg", []).privacy is None
    assert KINDS == ("fixed", "adaptive", "client")


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("local", [], "unknown privacy 'local': expected one of fixed, adaptive, client"),
        ("fixed", ["noise_multiplier=1"], "missing: clipping_norm"),
        ("adaptive", [], "missing: noise_multiplier"),
        ("fixed", ["noise_multiplier=1", "clipping_norm=1", "accountant=x"], "unknown: accountant"),
        ("fixed", ["noise_multiplier=-1", "clipping_norm=1"], "non-negative"),
        ("fixed", ["noise_multiplier=1", "clipping_norm=0"], "positive"),
        ("fixed", ["noise_multiplier=NaN", "clipping_norm=1"], "privacy fixed"),
        ("fixed", ["noise_multiplier=much", "clipping_norm=1"], "expected a number, got 'much'"),
        ("client", ["noise_multiplier=true", "clipping_norm=1"], "expected a number, got True"),
        ("adaptive", ["noise_multiplier=1", "target_clipped_quantile=2"], "quantile"),
        ("fixed", ["noise_multiplier"], "expected NAME=VALUE"),
    ],
)
def test_arguments_that_can_work_for_no_station_are_refused(kind: str, arguments: list[str], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        PrivacySpec.parse(kind, arguments)


def test_a_station_without_a_seed_for_its_noise_is_refused(tmp_path: Path) -> None:
    """Noise that anybody can draw hides nothing."""
    with pytest.raises(StrategyError, match="expected a seed for the noise of privacy fixed"):
        trainers(tmp_path, stations=1, devices=3, spec=StrategySpec("FedAvg", {}, FIXED), seeding=lambda station: None)


def test_a_station_too_small_for_its_noise_is_refused_before_anybody_trains(tmp_path: Path) -> None:
    """The count of clipped updates would need more noise than it has (Andrew et al., 2021, theorem 1)."""
    spec = StrategySpec("FedAvg", {}, PrivacySpec("adaptive", {"noise_multiplier": 0.5}))
    spec.require_devices(11)
    with pytest.raises(StrategyError, match=r"privacy adaptive.* and 3 devices.*clipped_count_stddev"):
        trainers(tmp_path, stations=1, devices=3, spec=spec)
