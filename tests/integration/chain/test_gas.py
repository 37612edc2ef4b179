from __future__ import annotations

import json

import pytest

from benchmarks.gas import CEILINGS, DOCS, markdown, measure
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
    assert {name: cost for name, cost in measured.items() if cost > CEILINGS.get(name, cost)} == {}


def test_the_document_is_made_of_the_figures() -> None:
    assert (DOCS / "gas.md").read_text() == markdown(json.loads((DOCS / "gas.json").read_text()))


def test_the_ceilings_are_those_that_were_agreed() -> None:
    documented = json.loads((DOCS / "gas.json").read_text())
    assert dict(CEILINGS) == {
        "submit an update, steady": 54_000,
        "attest, first, steady": 48_000,
        "attest, middle, steady": 48_000,
        "whole round, 3 stations": 360_000,
        "whole round, 21 stations": 1_900_000,
    }
    assert {name: cost for name, cost in CEILINGS.items() if documented[name] > cost} == {}
