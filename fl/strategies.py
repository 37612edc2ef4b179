"""Which Flower strategy a station uses, by name; and the rule that manifests record for it.

FedAvg and FedProx aggregate by Twinledger's own weighted mean (float64, sorted), the same rule as tier 2. The robust
rules of tier 2 can be had by their names: they need no Flower to replay, and ignore the examples that a device claims.
Every other strategy runs Flower's own code on the updates sorted by device, and is replayable with the same Flower; so
do FedAvg and FedProx under differential privacy (`fl.privacy`).
"""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import flwr
import numpy as np
from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import Strategy

from fl.arguments import held, parse_arguments, require_known
from fl.errors import StrategyError
from fl.privacy import PrivacySpec
from twins.aggregation import WEIGHTED_MEAN, Rule, function_of, rule_of
from twins.canonical import Json
from twins.errors import AggregationError
from twins.model import TwinModel

logging.getLogger("flwr").setLevel(logging.ERROR)  # its round banners would drown a station's and an auditor's output

_MEAN = ("FedAvg", "FedProx")

_OWN = "twinledger/"

_PRIVACY = "privacy"  # in a rule's parameters, beside the strategy's arguments

# Wrappers around a strategy object, which no name can give, and strategies for trees instead of weights.
_UNSUITED = ("DifferentialPrivacy", "FedXgb", "Result", "Strategy")

# What this engine decides: all of a station's devices take part, under the names that messages use.
_RESERVED = frozenset(
    {
        "fraction_train",
        "fraction_evaluate",
        "min_train_nodes",
        "min_evaluate_nodes",
        "min_available_nodes",
        "weighted_by_key",
        "arrayrecord_key",
        "configrecord_key",
        "train_metrics_aggr_fn",
        "evaluate_metrics_aggr_fn",
        "selection_rule",
    }
)

_TYPES = {"bool": (bool,), "int": (int,), "float": (int, float), "str": (str,)}
"""What an argument may be where a strategy annotates it so; JSON's 1 and 1.0 are both floats."""

_CHOICE = tuple(sorted(name for name in flower.__all__ if not name.startswith(_UNSUITED)))


@dataclass(frozen=True)
class StrategySpec:
    """A strategy by name and arguments.

    Attributes:
        name: a class of ``flwr.serverapp.strategy``, ``module:Class``, or a rule of `twins.aggregation`
            (``twinledger/median``, …).
        arguments: for its constructor, or the rule's parameters.
        privacy: noise and clipping around it.
    """

    name: str = "FedAvg"
    arguments: Mapping[str, Json] = field(default_factory=dict)
    privacy: PrivacySpec | None = None

    def __post_init__(self) -> None:
        """Hold the arguments as a manifest gives them back, so that the live path and the replay compute with equals.

        Raises:
            StrategyError: arguments that no manifest can hold, NaN say; privacy around anything but a mean.
        """
        object.__setattr__(self, "arguments", held(f"strategy {self.name}", self.arguments))
        if self.privacy is not None and self.name not in _MEAN:
            # The noise hides what one device does to a mean. It may do more to a median, or through an optimiser.
            raise StrategyError(
                f"strategy {self.name} with privacy: expected {' or '.join(_MEAN)}; the noise is measured for a mean"
            )
        if _PRIVACY in self.arguments:  # a rule could be read in two ways
            raise StrategyError(f"strategy {self.name}: argument {_PRIVACY}: that name is taken, choose another")
        if self.name.startswith(_OWN):
            self._own_rule()

    @classmethod
    def parse(
        cls, name: str, arguments: Sequence[str], privacy: str | None = None, privacy_arguments: Sequence[str] = ()
    ) -> StrategySpec:
        """Read ``NAME=VALUE`` arguments; values are JSON (``0.1``, ``true``), anything else a text.

        Args:
            name: of the strategy.
            arguments: its own.
            privacy: one of `fl.privacy.KINDS`, or None.
            privacy_arguments: for that.

        Raises:
            StrategyError: unknown strategy, an argument it doesn't take or of another type, or one missing.
        """
        values = parse_arguments("strategy", arguments)
        spec = cls(name, values, None if privacy is None else PrivacySpec.parse(privacy, privacy_arguments))
        spec.plain.build(1)
        return spec

    @property
    def rule(self) -> Rule:
        """The tier-1 rule that manifests record."""
        if self.name.startswith(_OWN):
            return self._own_rule()
        if self.is_own:
            return WEIGHTED_MEAN
        prefix = "python" if ":" in self.name else "flwr"
        private = {} if self.privacy is None else {_PRIVACY: self.privacy.to_json()}
        return Rule(f"{prefix}/{self.name}", flwr.__version__, {**self.arguments, **private})

    @property
    def is_own(self) -> bool:
        """Whether updates are aggregated by a rule of `twins.aggregation`, which has no state and needs no Flower."""
        return self.name.startswith(_OWN) or (self.name in _MEAN and self.privacy is None)

    def _own_rule(self) -> Rule:
        try:
            return rule_of(self.name.removeprefix(_OWN), self.arguments)
        except AggregationError as error:
            raise StrategyError(f"strategy {self.name}: {error}") from error

    @property
    def plain(self) -> StrategySpec:
        """The same without privacy."""
        return replace(self, privacy=None)

    def build(self, devices: int) -> Strategy:
        """Make the strategy for a station with so many devices.

        Raises:
            StrategyError: unknown, or arguments that it doesn't take.
        """
        if self.name.startswith(_OWN):  # the mean's: what devices are told is all that it is asked for
            return StrategySpec().build(devices)
        found = _find(self.name)
        accepted = {n: p for n, p in inspect.signature(found).parameters.items() if n not in _RESERVED}
        required = [n for n, p in accepted.items() if p.default is p.empty]
        require_known(f"strategy {self.name}", self.arguments, list(accepted), required)
        for name, value in self.arguments.items():
            _require_type(self.name, accepted[name], value)
        counts = {"min_train_nodes": devices, "min_available_nodes": devices, "fraction_evaluate": 0.0}
        offered = {n: v for n, v in counts.items() if n in inspect.signature(found).parameters}
        try:
            strategy = found(**self.arguments, **offered)
        except Exception as error:  # third-party code: whatever it raises, there is no strategy
            raise StrategyError(f"strategy {self.name} with {dict(self.arguments)}: {error}") from error
        return strategy if self.privacy is None else self.privacy.wrap(strategy, devices)

    def require_devices(self, devices: int) -> None:
        """Refuse too few devices for the strategy: at a station before anybody trains, and of those that did.

        Raises:
            StrategyError: Krum needs 2f + 3 devices to bear f malicious ones (Blanchard et al., Machine Learning with
                Adversaries, 2017, proposition 2: 2f + 2 < n), Bulyan 4f + 3 (El Mhamdi et al., The Hidden
                Vulnerability of Distributed Learning in Byzantium, 2018, section 4). Flower would let Krum go on
                below that, without its guarantee, and leave Bulyan's round without a result.
        """
        if self.name.startswith(_OWN):
            probe = TwinModel({"probe": np.zeros(1, np.float32)})
            try:
                function_of(self.rule)([(probe, 1)] * devices)
            except AggregationError as error:
                raise StrategyError(f"strategy {self.name} with {devices} devices: {error}") from error
            return
        strategy = self.build(devices)
        malicious = getattr(strategy, "num_malicious_nodes", 0)
        least = 1
        if isinstance(strategy, flower.Bulyan):
            least = 4 * malicious + 3
        elif isinstance(strategy, flower.MultiKrum):
            least = max(2 * malicious + 3, strategy.num_nodes_to_select)
        if malicious < 0 or getattr(strategy, "num_nodes_to_select", 1) < 1:
            raise StrategyError(f"strategy {self.name}: expected counts of devices, got {dict(self.arguments)}")
        if devices < least:
            raise StrategyError(
                f"strategy {self.name} with {malicious} malicious devices: expected at least {least} devices at every "
                f"station, got one with {devices}; use fewer stations or more devices, or wait for those that failed"
            )


def spec_of(rule: Rule, trusted: Sequence[str] = ()) -> StrategySpec:
    """Return the strategy behind a recorded rule.

    Args:
        rule: from a manifest, so from somebody who may lie.
        trusted: names ``module:Class`` that may be imported.

    Raises:
        AggregationError: a rule of ours of another version, or with parameters that it doesn't take.
        StrategyError: not a strategy of this Flower, of another version of Flower, or code that the caller hasn't
            named: a manifest must not decide what an auditor imports and runs.
    """
    prefix, _, name = rule.name.partition("/")
    if rule.name.startswith(_OWN):
        function_of(rule)
        return StrategySpec(rule.name, rule.parameters)
    if prefix == "python" and name not in trusted:
        raise StrategyError(f"rule {rule} runs {name}, which isn't trusted here: read that code, then allow it by name")
    if prefix not in ("flwr", "python") or (prefix == "flwr" and ":" in name):
        raise StrategyError(f"unknown rule {rule}: expected {WEIGHTED_MEAN}, flwr/… or python/…")
    if rule.version != flwr.__version__:
        raise StrategyError(
            f"rule {rule} was computed with Flower {rule.version}, here is {flwr.__version__}: replay with that"
        )
    arguments = dict(rule.parameters)
    private = arguments.pop(_PRIVACY, None)
    if (name in _MEAN) != (private is not None):  # one computation, one name: without privacy it is the weighted mean
        raise StrategyError(f"unknown rule {rule}: expected {WEIGHTED_MEAN}, or {' or '.join(_MEAN)} with privacy")
    return StrategySpec(name, arguments, None if private is None else PrivacySpec.from_json(private))


def _require_type(strategy: str, parameter: inspect.Parameter, value: Json) -> None:
    annotation: Any = parameter.annotation
    wanted = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    # Exactly: True is an int to isinstance, and would train with a learning rate of 1.
    if wanted in _TYPES and type(value) not in _TYPES[wanted]:
        raise StrategyError(f"strategy {strategy}: argument {parameter.name}: expected {wanted}, got {value!r}")


def _find(name: str) -> type[Strategy]:
    module, _, attribute = name.partition(":")
    try:
        if attribute:
            found = getattr(importlib.import_module(module), attribute)
        else:
            found = getattr(flower, name) if name in _CHOICE else None
    except (ImportError, AttributeError, ValueError, TypeError) as error:  # TypeError: a relative module
        raise StrategyError(f"strategy {name}: {error}") from error
    if not (inspect.isclass(found) and issubclass(found, Strategy)) or inspect.isabstract(found):
        raise StrategyError(
            f"unknown strategy {name!r}: expected one of {', '.join(_CHOICE)}, or module:Class, or twinledger/RULE"
        )
    return found
