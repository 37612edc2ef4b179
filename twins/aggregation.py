"""Deterministic aggregation: the rules that every station and every auditor computes alike.

Sums run in float64 and are cast to float32 once, so the result is the same bit for bit on every machine with IEEE 754
arithmetic. Callers sort: devices by address within a station, stations by address within a round (architecture.md,
law 3). A manifest names the rule, its version and its parameters; a version, once recorded, is never changed, so that
what was computed with it can always be computed again.

Example::

    merge = function_of(rule_of("krum", {"malicious": 1}))
    model = merge([(first, 120), (second, 80), (third, 95), (fourth, 110), (fifth, 100)])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from types import MappingProxyType

import numpy as np

from twins import robust
from twins.canonical import Json
from twins.errors import AggregationError
from twins.model import TwinModel


@dataclass(frozen=True)
class Rule:
    """An aggregation rule as manifests name it.

    Attributes:
        name: namespaced, e.g. ``twinledger/weighted-mean`` or ``flwr/FedAdam``.
        version: of the rule; an old version stays replayable.
        parameters: everything else that changes the result.
    """

    name: str
    version: str
    parameters: Mapping[str, Json] = field(default_factory=dict)

    def __str__(self) -> str:
        """Name and version."""
        return f"{self.name}@{self.version}"


WEIGHTED_MEAN = Rule("twinledger/weighted-mean", "1")
"""McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, 2017, algorithm 1."""


def weighted_mean(models: Sequence[tuple[TwinModel, int]]) -> TwinModel:
    """Return the mean of the models, each weighted with its number of training examples.

    Laws: the mean of one model is that model; two tiers (station-wise, then over stations with the stations' sums
    of examples) equal the one mean over all devices up to float32 rounding.

    Args:
        models: (model, examples) in the order of summation; equal schemas; examples ≥ 1.

    Raises:
        AggregationError: no models, or examples < 1.
        SchemaError: models of different shapes.
    """
    _require_models(models)
    schema = models[0][0].schema()
    for position, (model, _) in enumerate(models):
        model.require_schema(schema, f"model {position}")
    total = sum(examples for _, examples in models)
    mean = {}
    for name in schema:
        # Begun with the first term, not with zero: 0.0 + -0.0 is 0.0, and the mean of one would be another model.
        terms = (model.tensors[name].astype(np.float64) * examples for model, examples in models)
        mean[name] = np.asarray(reduce(np.add, terms) / total, dtype=np.float32)
    return TwinModel(mean)


Merge = Callable[[Sequence[tuple[TwinModel, int]]], TwinModel]
"""A stateless rule: (model, examples) in order, to one model."""

_Check = Callable[[Json], bool]


@dataclass(frozen=True)
class _Parameter:
    """What a rule's parameter may be."""

    expected: str
    accepts: _Check


@dataclass(frozen=True)
class _Known:
    """A rule that this version of Twinledger can compute: its parameters, and how to bind them."""

    parameters: Mapping[str, _Parameter]
    bind: Callable[..., Merge]


# By exact type: True is an int, and a manifest would have a second spelling of 1.
_FRACTION = _Parameter("a number from 0 to below 0.5", lambda v: type(v) in (int, float) and 0 <= v < 0.5)
_LIARS = _Parameter("a whole number from 0", lambda v: type(v) is int and v >= 0)
_SELECT = _Parameter("a whole number from 1", lambda v: type(v) is int and v >= 1)

_PREFIX = "twinledger/"


def _robust(rule: Callable[..., TwinModel]) -> Callable[..., Merge]:
    """Bind a rule of `twins.robust`, which takes models alone: a liar's number of examples counts for nothing."""

    def bind(**parameters: Json) -> Merge:
        return partial(_without_examples, partial(rule, **parameters))

    return bind


def _without_examples(
    rule: Callable[[Sequence[TwinModel]], TwinModel], models: Sequence[tuple[TwinModel, int]]
) -> TwinModel:
    _require_models(models)
    return rule([model for model, _ in models])


_RULES: Mapping[tuple[str, str], _Known] = MappingProxyType(
    {
        (WEIGHTED_MEAN.name, WEIGHTED_MEAN.version): _Known({}, lambda: weighted_mean),
        (_PREFIX + "median", "1"): _Known({}, _robust(robust.median)),
        (_PREFIX + "trimmed-mean", "1"): _Known({"trim": _FRACTION}, _robust(robust.trimmed_mean)),
        (_PREFIX + "krum", "1"): _Known({"malicious": _LIARS}, _robust(robust.krum)),
        (_PREFIX + "multi-krum", "1"): _Known({"malicious": _LIARS, "select": _SELECT}, _robust(robust.multi_krum)),
    }
)
"""By name and version. A new version is a new line: the old one stays, for what was recorded with it."""

_NEWEST = MappingProxyType({name.removeprefix(_PREFIX): version for name, version in _RULES})


def rule_of(name: str, parameters: Mapping[str, Json]) -> Rule:
    """Return the newest version of a rule by its short name.

    Args:
        name: ``weighted-mean``, ``median``, ``trimmed-mean``, ``krum`` or ``multi-krum``.
        parameters: ``trim`` of trimmed-mean, ``malicious`` of krum and multi-krum, ``select`` of multi-krum.

    Raises:
        AggregationError: no such rule, or parameters that it doesn't take.
    """
    if name not in _NEWEST:
        raise AggregationError(f"no aggregation rule {name!r}: expected one of {', '.join(_NEWEST)}")
    rule = Rule(_PREFIX + name, _NEWEST[name], dict(parameters))
    function_of(rule)
    return rule


def function_of(rule: Rule) -> Merge:
    """Return the function behind a rule that this version of Twinledger can compute.

    Raises:
        AggregationError: another rule, another version, or parameters that it doesn't take.
    """
    known = _RULES.get((rule.name, rule.version))
    if known is None:
        rules = ", ".join(f"{name}@{version}" for name, version in _RULES)
        raise AggregationError(f"cannot compute rule {rule}: expected one of {rules}")
    if set(rule.parameters) != set(known.parameters):
        raise AggregationError(
            f"rule {rule}: expected the parameters {', '.join(known.parameters) or '(none)'}, "
            f"got {', '.join(sorted(rule.parameters)) or '(none)'}; give exactly those"
        )
    for name, parameter in known.parameters.items():
        if not parameter.accepts(rule.parameters[name]):
            raise AggregationError(
                f"rule {rule}: parameter {name}: expected {parameter.expected}, got {rule.parameters[name]!r}"
            )
    return known.bind(**rule.parameters)


def _require_models(models: Sequence[tuple[TwinModel, int]]) -> None:
    if not models:
        raise AggregationError("nothing to aggregate: expected at least one model")
    for position, (_, examples) in enumerate(models):
        if examples < 1:
            raise AggregationError(f"model {position}: expected at least 1 training example, got {examples}")
