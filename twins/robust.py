"""Robust aggregation: rules that some liars among the inputs cannot lead away.

They take models without numbers of examples: those are the senders' own word, so a liar would claim as many as it
takes to be the majority. Sums run in float64 in an order that depends on the values alone, and are rounded to float32
once; only where Krum finds two models equally good does the order given decide. So each rule gives the same bits on
every machine with IEEE 754 arithmetic, whatever version of whatever library is installed.

What they cannot do: where honest models differ much, the median and Krum drop honest work too, and a lie that is
small enough passes for an honest difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from twins.errors import AggregationError
from twins.model import Array, TwinModel

_MAGNITUDE = np.int32(0x7FFFFFFF)  # all bits of a float32 but its sign


def median(models: Sequence[TwinModel]) -> TwinModel:
    """Return the median of every coordinate; of an even number, half the sum of the two in the middle.

    Laws: the order doesn't matter; with fewer liars than half of n, every coordinate lies between two honest ones.

    Source: Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, 2018, definition 1.

    Args:
        models: at least one; equal schemas.

    Raises:
        SchemaError, NonFiniteError: models of different shapes, or NaN or infinity in one.
    """
    return _mean_of_sorted(models, (len(models) - 1) // 2)


def trimmed_mean(models: Sequence[TwinModel], trim: float) -> TwinModel:
    """Return, for every coordinate, the mean of what is left without the ⌊trim · n⌋ smallest and largest values.

    Laws: the order doesn't matter; with at most ⌊trim · n⌋ liars every coordinate lies between two honest ones. With
    fewer than 1 / trim models nothing is cut off, and it is the plain mean.

    Source: Yin et al., 2018, definition 2.

    Args:
        models: at least one; equal schemas.
        trim: fraction to cut off at each end, from 0 to below 0.5.

    Raises:
        SchemaError, NonFiniteError: models of different shapes, or NaN or infinity in one.
    """
    return _mean_of_sorted(models, math.floor(trim * len(models)))


def krum(models: Sequence[TwinModel], malicious: int) -> TwinModel:
    """Return the one model that is nearest to its neighbours, unchanged.

    Its score, the lowest, is the sum of the squared Euclidean distances to its n − malicious − 2 nearest others. Of
    equal scores the first given wins.

    Source: Blanchard et al., Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent, 2017, section 4.

    Args:
        models: n ≥ 2 · malicious + 3 (proposition 2 asks for 2 · malicious + 2 < n); equal schemas.
        malicious: liars to bear.

    Raises:
        AggregationError: too few models.
        SchemaError, NonFiniteError: models of different shapes, or NaN or infinity in one.
    """
    return models[_ranking(models, malicious)[0]]


def multi_krum(models: Sequence[TwinModel], malicious: int, select: int) -> TwinModel:
    """Return the mean of the ``select`` models that `krum` finds best.

    Law: ``multi_krum(models, f, 1) == krum(models, f)``.

    Source: Blanchard et al., 2017, section 5.

    Args:
        models: n ≥ 2 · malicious + 3 and n ≥ select + malicious: with fewer, a liar would always be among the
            selected; equal schemas.
        malicious: liars to bear.
        select: how many to take the mean of, from 1.

    Raises:
        AggregationError: too few models.
        SchemaError, NonFiniteError: models of different shapes, or NaN or infinity in one.
    """
    ranking = _ranking(models, malicious)
    if len(models) < select + malicious:
        raise AggregationError(
            f"selecting {select} updates beside {malicious} malicious: expected at least {select + malicious} updates, "
            f"got {len(models)}; wait for more, or found the twin with a lower select"
        )
    return _mean_of_sorted([models[position] for position in ranking[:select]], 0)


def _ranking(models: Sequence[TwinModel], malicious: int) -> list[int]:
    """Return the positions of the models from the best score to the worst; equal scores in the order given."""
    count = len(models)
    if count < 2 * malicious + 3:
        raise AggregationError(
            f"Krum against {malicious} malicious: expected at least {2 * malicious + 3} updates (2f + 3), got {count}; "
            "wait for more, or found the twin with fewer malicious or another rule"
        )
    _require_alike(models)
    flat = [np.concatenate([tensor.ravel() for tensor in model.tensors.values()]) for model in models]
    distances: list[list[float]] = [[] for _ in models]
    for one, other in combinations(range(count), 2):
        distance = _squared_distance(flat[one], flat[other])
        distances[one].append(distance)
        distances[other].append(distance)
    scores = [math.fsum(sorted(others)[: count - malicious - 2]) for others in distances]
    return sorted(range(count), key=scores.__getitem__)  # stable


def _squared_distance(one: Array, other: Array) -> float:
    # Not |x|² + |y|² − 2xy, which is faster: near models would lose all their digits, and how BLAS sums depends on
    # the processor. Nor numpy's sum, whose order is not promised: an accumulation is, from the first to the last.
    squares = np.square(np.subtract(one, other, dtype=np.float64))
    return float(np.add.accumulate(squares)[-1]) if squares.size else 0.0


def _mean_of_sorted(models: Sequence[TwinModel], cut: int) -> TwinModel:
    """Return the mean of every coordinate without its ``cut`` smallest and ``cut`` largest values."""
    _require_alike(models)
    mean = {}
    for name in models[0].tensors:
        ordered = _ascending(np.stack([model.tensors[name] for model in models]))
        kept = ordered[cut : len(models) - cut].astype(np.float64)
        mean[name] = np.asarray(reduce(np.add, kept) / len(kept), dtype=np.float32)
    return TwinModel(mean)


def _ascending(stack: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sort along the first axis, -0.0 before 0.0 (IEEE 754 §5.10, totalOrder).

    As integers: among floats the two zeros are equal, and which comes first would be the sorting algorithm's.
    """
    bits = stack.view(np.int32)
    keys = np.sort(np.where(bits < 0, bits ^ _MAGNITUDE, bits), axis=0)
    return np.where(keys < 0, keys ^ _MAGNITUDE, keys).view(np.float32)


def _require_alike(models: Sequence[TwinModel]) -> None:
    """Refuse what cannot be compared; a NaN is neither near nor far, and sorts where it likes.

    Raises:
        SchemaError, NonFiniteError: naming the first model concerned by its position.
    """
    schema = models[0].schema()
    for position, model in enumerate(models):
        model.require_schema(schema, f"model {position}")
        model.require_finite(f"model {position}")
