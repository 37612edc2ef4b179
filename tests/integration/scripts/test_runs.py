"""The commands one after another, as the README has them."""

from __future__ import annotations

import pytest

from tests.integration.scripts.commands import Place

pytestmark = pytest.mark.integration

WATCH = ("--twin", "watch")


def test_the_same_command_in_two_fresh_folders_gives_the_same_head(place: Place, fresh: Place) -> None:
    heads = [home.rounds(2, data=WATCH).lines()[-1]["model"] for home in (place, fresh)]
    assert heads[0] == heads[1] == place.head("watch") == fresh.head("watch")


def test_a_stateful_strategy_gives_the_same_head_however_often_it_is_continued(place: Place, fresh: Place) -> None:
    adam = ("--strategy", "FedAdam", "--strategy-arg", "eta=0.01")
    for rounds in (1, 2, 4):
        assert place.rounds(rounds, *adam).code == 0
    assert fresh.rounds(4, *adam).code == 0
    assert place.head() == fresh.head()


def test_a_round_is_told_with_accuracy_gas_and_phases(fresh: Place) -> None:
    first, second = fresh.rounds(2).lines()
    assert second["parent"] == first["model"]
    assert 0 <= second["accuracy"] <= 1
    assert second["stations"] == 3
    assert second["devices"] == 6
    assert second["gas"] <= 385_000  # the ring of commitments is still being filled
    assert set(second["phases"]) == {"train", "record", "merge", "evaluate"}


def test_a_chain_that_was_rolled_back_is_found_by_the_next_audit(own: Place) -> None:
    assert own.rounds(2).code == 0
    head = own.head()
    own.down()
    (own.home / "deployment.json").unlink()
    own.up()
    assert own.rounds(1).code == 0
    audited = own.audit()
    assert audited.code == 1
    (finding,) = audited.lines()[0]["findings"]
    assert finding["check"] == "expected-head"
    assert head in finding["expected"]
    assert own.audit("tiny", "--forget").code == 0
    assert own.audit("tiny", "--forget", "--expected-head", head).code == 1
