from __future__ import annotations

import json

import pytest

from benchmarks.gas import BOUNDS, DOCS, markdown, measure
from tests.integration.consortium import Consortium

pytestmark = pytest.mark.integration

TOLERANCE = 1.02


def test_no_operation_costs_more_than_documented(consortium: Consortium) -> None:
    documented = json.loads((DOCS / "gas.json").read_text())
    measured = measure(consortium.chain)
    assert set(measured) == set(documented)
    grown = {
        name: f"{documented[name]:,} -> {cost:,}; if it must be, run benchmarks/gas.py"
        for name, cost in measured.items()
        if cost > documented[name] * TOLERANCE
    }
    assert grown == {}
    assert measured["whole round, 3 stations"] < BOUNDS["whole round, 3 stations"] == 367_000


def test_the_document_is_made_of_the_figures() -> None:
    assert (DOCS / "gas.md").read_text() == markdown(json.loads((DOCS / "gas.json").read_text()))
