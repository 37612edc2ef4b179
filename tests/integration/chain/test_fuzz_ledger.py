from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from chain.connection import Chain
from tests.integration.chain.ledger_fuzz import DifferenceError, Fuzz

pytestmark = pytest.mark.integration

EXAMPLES, STEPS = 13, 50


class LedgerMachine(RuleBasedStateMachine):
    """Random calls by honest and dishonest stations; `Fuzz.step` compares result, events and state after each."""

    chain: ClassVar[Chain]
    made: ClassVar[int] = 0

    @initialize()
    def deploy(self) -> None:
        self.fuzz = Fuzz(self.chain)

    @rule(data=st.data())
    def call(self, data: st.DataObject) -> None:
        self.fuzz.step(lambda options: data.draw(st.sampled_from(options)))
        LedgerMachine.made += 1


def test_random_calls_do_on_the_chain_what_the_rules_say(chain: Chain) -> None:
    LedgerMachine.chain, LedgerMachine.made = chain, 0
    few = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, print_blob=True)
    run_state_machine_as_test(LedgerMachine, settings=few)
    assert LedgerMachine.made >= 500


def test_a_model_with_another_quorum_is_found_out(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison itself, tested: a model that is wrong in one rule doesn't pass."""
    fuzz = Fuzz(chain)
    monkeypatch.setattr(fuzz.model, "quorum", lambda _round: 1)

    def steps() -> None:
        for _ in range(50):
            fuzz.step(lambda options: options[0])

    with pytest.raises(DifferenceError, match=r"step \d+, "):
        steps()
