"""The robust rules with parameters to try them on, and models small enough for the head."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from twins.aggregation import Merge, function_of, rule_of
from twins.model import TwinModel

LARGEST = float(np.finfo(np.float32).max)
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
near = st.floats(-1, 1, width=32)

MEDIAN = function_of(rule_of("median", {}))
TRIMMED = function_of(rule_of("trimmed-mean", {"trim": 0.25}))
KRUM = function_of(rule_of("krum", {"malicious": 1}))
MULTI_KRUM = function_of(rule_of("multi-krum", {"malicious": 1, "select": 3}))

RULES = {"median": MEDIAN, "trimmed mean": TRIMMED, "Krum": KRUM, "multi-Krum": MULTI_KRUM}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
by_coordinate = pytest.mark.parametrize("rule", [MEDIAN, TRIMMED], ids=["median", "trimmed mean"])


def trimmed(trim: float) -> Merge:
    return function_of(rule_of("trimmed-mean", {"trim": trim}))


def krum(malicious: int) -> Merge:
    return function_of(rule_of("krum", {"malicious": malicious}))


def multi_krum(malicious: int, select: int) -> Merge:
    return function_of(rule_of("multi-krum", {"malicious": malicious, "select": select}))


def model(*values: float) -> TwinModel:
    return TwinModel({"w": np.array(values, dtype=np.float32)})


def of(*models: TwinModel) -> list[tuple[TwinModel, int]]:
    return [(each, 10) for each in models]


def values(of: TwinModel) -> list[float]:
    return [float(value) for value in of.tensors["w"]]


def gaussian(count: int, size: int, seed: int) -> list[TwinModel]:
    random = np.random.default_rng(seed)
    return [TwinModel({"w": random.normal(size=size).astype(np.float32)}) for _ in range(count)]


def several(least: int = 1, size: int = 3, elements: st.SearchStrategy[float] = finite) -> st.SearchStrategy:  # type: ignore[type-arg]
    one = arrays(np.float32, size, elements=elements).map(lambda array: TwinModel({"w": array}))
    return st.lists(one, min_size=least, max_size=9)
