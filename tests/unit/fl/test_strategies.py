"""Strategies by name: what can be asked for, and what manifests may make an auditor run."""

from __future__ import annotations

import sys
from pathlib import Path

import flwr
import pytest

from fl.errors import StrategyError
from fl.replay import Replayer
from fl.strategies import StrategySpec, spec_of
from fl.tier1 import Aggregator
from tests.unit.fl.world import Memory, account, bits, digest_of, genesis, trainers, update_of
from twins.aggregation import WEIGHTED_MEAN, Rule, rule_of, weighted_mean
from twins.errors import AggregationError

pytestmark = pytest.mark.unit

UNSUITED = (
    "DifferentialPrivacyClientSideFixedClipping",
    "DifferentialPrivacyClientSideAdaptiveClipping",
    "DifferentialPrivacyServerSideFixedClipping",
    "DifferentialPrivacyServerSideAdaptiveClipping",
    "FedXgbBagging",
    "FedXgbCyclic",
    "Result",
    "Strategy",
)


def rule(name: str, parameters: dict[str, object] | None = None, version: str = flwr.__version__) -> Rule:
    return Rule(name, version, parameters or {})


def replay(which: Rule, trusted: tuple[str, ...] = ()) -> object:
    updates = [update_of(name, genesis(seed)) for seed, name in enumerate(("a", "b", "c"))]
    return Replayer(trusted)(station=account("s"), round=1, rule=which, base=genesis(), updates=updates, noise=b"")


def test_values_of_arguments_are_json_or_texts() -> None:
    spec = StrategySpec.parse("QFedAvg", ["client_learning_rate=0.1", "q=2", "train_loss_key=train_loss"])
    assert spec.arguments == {"client_learning_rate": 0.1, "q": 2, "train_loss_key": "train_loss"}


@pytest.mark.parametrize("argument", ["eta", "=0.1", "", "eta 0.1"])
def test_an_argument_that_is_no_assignment_is_refused(argument: str) -> None:
    with pytest.raises(StrategyError, match="expected NAME=VALUE"):
        StrategySpec.parse("FedAdam", [argument])


def test_a_value_may_hold_an_equals_sign() -> None:
    assert StrategySpec.parse("QFedAvg", ["client_learning_rate=1", "train_loss_key=a=b"]).arguments[
        "train_loss_key"
    ] == ("a=b")


def test_an_unknown_strategy_names_those_there_are() -> None:
    with pytest.raises(StrategyError, match=r"unknown strategy 'FedBest'.*FedAdam.*Krum.*module:Class"):
        StrategySpec.parse("FedBest", [])


def test_an_unknown_argument_names_those_it_takes() -> None:
    with pytest.raises(StrategyError, match=r"FedAdam: expected the arguments .*eta.*; unknown: speed"):
        StrategySpec.parse("FedAdam", ["speed=1"])


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(StrategyError, match=r"QFedAvg: .*missing: client_learning_rate"):
        StrategySpec.parse("QFedAvg", [])


@pytest.mark.parametrize("reserved", ["fraction_train=0.5", "min_available_nodes=1", "weighted_by_key=loss"])
def test_what_the_engine_decides_is_no_argument(reserved: str) -> None:
    with pytest.raises(StrategyError, match="unknown"):
        StrategySpec.parse("FedAdam", [reserved])


def test_a_value_that_the_strategy_refuses_is_a_strategy_error() -> None:
    with pytest.raises(StrategyError, match="MultiKrum"):
        StrategySpec.parse("MultiKrum", ["num_nodes_to_select=many"])


@pytest.mark.parametrize("name", UNSUITED)
def test_what_cannot_aggregate_weights_is_neither_offered_nor_taken(name: str) -> None:
    with pytest.raises(StrategyError) as caught:
        StrategySpec.parse(name, [])
    offered = str(caught.value).partition("expected one of")[2]
    assert "FedAvg" in offered
    assert name not in offered.split(", ")
    with pytest.raises(AggregationError, match="unknown strategy"):
        replay(rule(f"flwr/{name}"))


@pytest.mark.parametrize(
    "name", ["os:system", "flwr.serverapp.strategy:no_such", "no.such.module:Class", ":", "json:", "..:x", "a b:c"]
)
def test_own_code_that_is_no_strategy_is_a_strategy_error(name: str) -> None:
    with pytest.raises(StrategyError):
        StrategySpec.parse(name, [])


def test_fedavg_and_fedprox_are_recorded_as_the_rule_that_every_auditor_can_compute() -> None:
    assert StrategySpec("FedAvg").rule == WEIGHTED_MEAN
    assert StrategySpec("FedProx", {"proximal_mu": 0.1}).rule == WEIGHTED_MEAN


def test_the_rule_records_flowers_version_and_every_argument() -> None:
    assert StrategySpec("FedAdam", {"eta": 0.5}).rule == Rule("flwr/FedAdam", flwr.__version__, {"eta": 0.5})
    assert StrategySpec("a.b:C").rule.name == "python/a.b:C"


def test_the_strategy_of_a_recorded_rule_is_the_one_that_was_used() -> None:
    spec = StrategySpec("FedYogi", {"eta": 0.5})
    assert spec_of(spec.rule) == spec


def test_own_code_works_live_and_replays_once_it_is_trusted(tmp_path: Path) -> None:
    own = "tests.unit.fl.own_strategy:Halfway"
    (trainer,) = trainers(tmp_path, stations=1, devices=3, spec=StrategySpec.parse(own, []))
    base = genesis()
    update = trainer.learn(base, digest_of(base), 1, Memory())
    mean = weighted_mean([(u.model(), u.examples) for u in update.updates])
    halfway = [(base.tensors[name] + mean.tensors[name]) / 2 for name in base.tensors]
    assert all(abs(a - b).max() < 1e-6 for a, b in zip(update.model.tensors.values(), halfway, strict=True))

    told = {
        "station": update.station,
        "round": 1,
        "rule": update.rule,
        "base": base,
        "updates": update.updates,
        "noise": b"",
    }
    with pytest.raises(AggregationError, match="isn't trusted here"):
        Replayer()(**told)
    assert bits([Replayer([own])(**told)]) == bits([update.model])


# A manifest is written by somebody who may lie: it must not decide what an auditor imports and runs.
@pytest.mark.parametrize("prefix", ["python/", "flwr/", ""])
def test_attack_a_manifest_that_names_code_imports_nothing(
    prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "hostile_rule.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Rule: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(AggregationError):
        replay(rule(f"{prefix}hostile_rule:Rule"))
    assert not mark.exists()
    assert "hostile_rule" not in sys.modules


def test_attack_a_manifest_that_names_os_system_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for name in ("python/os:system", "flwr/os:system"):
        with pytest.raises(AggregationError):
            replay(rule(name, {"command": f"touch {mark}"}))
    # Not even for an auditor who trusts it: it is no strategy.
    with pytest.raises(AggregationError):
        replay(rule("python/os:system", {"command": f"touch {mark}"}), ("os:system",))
    assert not mark.exists()


def test_trust_in_one_class_is_no_trust_in_its_neighbour() -> None:
    with pytest.raises(AggregationError, match="isn't trusted here"):
        replay(rule("python/tests.unit.fl.own_strategy:Other"), ("tests.unit.fl.own_strategy:Halfway",))


def test_attack_a_rule_reaches_flower_only_by_the_names_that_are_offered() -> None:
    for name in ("FedAvg.__init__", "__doc__", "fedavg", "FedOpt", "annotations", "krum.Krum", "../FedAdam"):
        with pytest.raises(AggregationError, match="unknown strategy"):
            replay(rule(f"flwr/{name}"))


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "/",
            "flwr",
            "flwr/",
            "flwr//FedAdam",
            "FLWR/FedAdam",
            "flwr/FedAdam\n",
            "flwr/FedAdam ",
            "flwr/Fed\0Adam",
        ),
        "flwr/F\u0435dAdam",  # a Cyrillic letter
        *("twinledger/", "twinledger/weighted-mean\n", "python/", "python/ ", "python/\n:x"),
    ],
)
def test_rule_names_with_odd_characters_are_refused(name: str) -> None:
    with pytest.raises(AggregationError):
        replay(rule(name))


@pytest.mark.parametrize("version", ["1.40.0", "", "1.41", "1.41.0 "])
def test_a_rule_of_another_flower_is_refused_with_the_version_to_install(version: str) -> None:
    with pytest.raises(AggregationError, match=rf"computed with Flower {version}.*replay with that"):
        replay(rule("flwr/FedAdam", version=version))


def test_another_version_of_the_weighted_mean_is_refused() -> None:
    for other in (Rule(WEIGHTED_MEAN.name, "2"), Rule(WEIGHTED_MEAN.name, "1", {"trim": 1})):
        with pytest.raises(AggregationError, match=r"round 1, station .*twinledger/weighted-mean"):
            replay(other)


@pytest.mark.parametrize("parameters", [{"speed": 1}, {"fraction_train": 0.1}, {"min_train_nodes": 10**9}])
def test_attack_a_rule_with_arguments_that_live_stations_cannot_give_is_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(AggregationError, match="unknown"):
        replay(rule("flwr/FedAdam", parameters))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("twinledger/mode", [], "expected one of weighted-mean, median"),
        ("twinledger/krum", [], "expected the parameters malicious"),
        ("twinledger/krum", ["malicious=1", "speed=2"], "expected the parameters malicious"),
        ("twinledger/trimmed-mean", ["trim=0.5"], "expected a number from 0 to below 0.5"),
        ("twinledger/krum", ["malicious=true"], "expected a whole number"),
    ],
)
def test_a_rule_of_ours_is_held_to_its_parameters(name: str, arguments: list[str], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        StrategySpec.parse(name, arguments)


def test_a_rule_of_ours_is_recorded_as_at_tier_2_and_needs_no_flower() -> None:
    spec = StrategySpec.parse("twinledger/krum", ["malicious=1"])
    assert spec.rule == rule_of("krum", {"malicious": 1})
    assert spec_of(spec.rule) == spec
    assert StrategySpec("twinledger/weighted-mean").rule == WEIGHTED_MEAN
    for other in (Rule("twinledger/krum", "9", {"malicious": 1}), Rule("twinledger/krum", flwr.__version__)):
        with pytest.raises(AggregationError, match="cannot compute rule"):
            replay(other)


def test_too_few_devices_for_a_rule_of_ours_are_refused() -> None:
    spec = StrategySpec("twinledger/krum", {"malicious": 1})
    spec.require_devices(5)
    with pytest.raises(StrategyError, match=r"twinledger/krum with 4 devices: .*expected at least 5"):
        spec.require_devices(4)


def test_too_few_updates_for_a_strategy_are_a_clear_error() -> None:
    spec = StrategySpec("Bulyan", {"num_malicious_nodes": 2})
    with pytest.raises(StrategyError, match="Bulyan"):
        Aggregator(spec).aggregate(1, genesis(), [update_of("a", genesis()), update_of("b", genesis())])
