"""Which Flower strategy a station uses, by name; and the rule that manifests record for it.

FedAvg and FedProx aggregate by Twinledger's own weighted mean (float64, sorted), the same rule as tier 2. Every
other strategy runs Flower's own code on the updates sorted by device, and is replayable with the same Flower.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import flwr
from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import Strategy

from fl.errors import StrategyError
from twins.aggregation import WEIGHTED_MEAN, Rule
from twins.canonical import Json

_MEAN = ("FedAvg", "FedProx")

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
    }
)

_CHOICE = tuple(sorted(name for name in flower.__all__ if not name.startswith(_UNSUITED)))


@dataclass(frozen=True)
class StrategySpec:
    """A strategy by name and arguments.

    Attributes:
        name: a class of ``flwr.serverapp.strategy``, or ``module:Class``.
        arguments: for its constructor.
    """

    name: str = "FedAvg"
    arguments: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def parse(cls, name: str, arguments: Sequence[str]) -> StrategySpec:
        """Read ``NAME=VALUE`` arguments; values are JSON (``0.1``, ``true``), anything else a text.

        Raises:
            StrategyError: unknown strategy, an argument it doesn't take, or one missing.
        """
        values: dict[str, Json] = {}
        for argument in arguments:
            key, equals, text = argument.partition("=")
            if not equals or not key:
                raise StrategyError(f"strategy argument {argument!r}: expected NAME=VALUE")
            try:
                values[key] = json.loads(text)
            except ValueError:
                values[key] = text
        spec = cls(name, values)
        spec.build(1)
        return spec

    @property
    def rule(self) -> Rule:
        """The tier-1 rule that manifests record."""
        if self.name in _MEAN:
            return WEIGHTED_MEAN
        prefix = "python" if ":" in self.name else "flwr"
        return Rule(f"{prefix}/{self.name}", flwr.__version__, dict(self.arguments))

    @property
    def is_mean(self) -> bool:
        """Whether updates are aggregated by the weighted mean."""
        return self.name in _MEAN

    def build(self, devices: int) -> Strategy:
        """Make the strategy for a station with so many devices.

        Raises:
            StrategyError: unknown, or arguments that it doesn't take.
        """
        found = _find(self.name)
        accepted = {n: p for n, p in inspect.signature(found).parameters.items() if n not in _RESERVED}
        unknown = sorted(set(self.arguments) - set(accepted))
        missing = sorted(n for n, p in accepted.items() if p.default is p.empty and n not in self.arguments)
        if unknown or missing:
            raise StrategyError(
                f"strategy {self.name}: expected the arguments {', '.join(accepted) or '(none)'}"
                + (f"; unknown: {', '.join(unknown)}" if unknown else "")
                + (f"; missing: {', '.join(missing)}" if missing else "")
            )
        counts = {"min_train_nodes": devices, "min_available_nodes": devices, "fraction_evaluate": 0.0}
        offered = {n: v for n, v in counts.items() if n in inspect.signature(found).parameters}
        try:
            return found(**self.arguments, **offered)
        except (TypeError, ValueError, AttributeError) as error:
            raise StrategyError(f"strategy {self.name} with {dict(self.arguments)}: {error}") from error


def spec_of(rule: Rule, trusted: Sequence[str] = ()) -> StrategySpec:
    """Return the strategy behind a recorded rule.

    Args:
        rule: from a manifest, so from somebody who may lie.
        trusted: names ``module:Class`` that may be imported.

    Raises:
        StrategyError: not a strategy of this Flower, of another version of Flower, or code that the caller hasn't
            named: a manifest must not decide what an auditor imports and runs.
    """
    prefix, _, name = rule.name.partition("/")
    if prefix == "python" and name not in trusted:
        raise StrategyError(f"rule {rule} runs {name}, which isn't trusted here: read that code, then allow it by name")
    if prefix not in ("flwr", "python") or (prefix == "flwr" and ":" in name):
        raise StrategyError(f"unknown rule {rule}: expected {WEIGHTED_MEAN}, flwr/… or python/…")
    if rule.version != flwr.__version__:
        raise StrategyError(
            f"rule {rule} was computed with Flower {rule.version}, here is {flwr.__version__}: replay with that"
        )
    return StrategySpec(name, rule.parameters)


def _find(name: str) -> type[Strategy]:
    module, _, attribute = name.partition(":")
    try:
        if attribute:
            found = getattr(importlib.import_module(module), attribute)
        else:
            found = getattr(flower, name) if name in _CHOICE else None
    except (ImportError, AttributeError, ValueError) as error:
        raise StrategyError(f"strategy {name}: {error}") from error
    if not (inspect.isclass(found) and issubclass(found, Strategy)) or inspect.isabstract(found):
        raise StrategyError(f"unknown strategy {name!r}: expected one of {', '.join(_CHOICE)}, or module:Class")
    return found
