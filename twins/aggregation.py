"""Deterministic aggregation: the rule that every station and every auditor computes alike.

Sums run in float64 in the order given and are cast to float32 once, so the result is the same bit for bit on every
machine with IEEE 754 arithmetic. Callers sort: devices by address within a station, stations by address within a
round (architecture.md, law 3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

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
    if not models:
        raise AggregationError("nothing to aggregate: expected at least one model")
    schema = models[0][0].schema()
    for position, (model, examples) in enumerate(models):
        if examples < 1:
            raise AggregationError(f"model {position}: expected at least 1 training example, got {examples}")
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

_RULES: tuple[tuple[Rule, Merge], ...] = ((WEIGHTED_MEAN, weighted_mean),)


def function_of(rule: Rule) -> Merge:
    """Return the function behind a rule that this version of Twinledger can compute.

    Raises:
        AggregationError: another rule, version or parameters.
    """
    for known, function in _RULES:
        if known == rule:
            return function
    known_rules = ", ".join(str(known) for known, _ in _RULES)
    raise AggregationError(f"cannot compute rule {rule} with {dict(rule.parameters)}: expected one of {known_rules}")
