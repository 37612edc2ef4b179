"""What a station's contributions must satisfy beyond their signatures: fresh, once, within bounds, at one station."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.contribution_checks import check_norms, check_training, double_counts
from tests.unit.chain.test_checks import OTHER_STATION, RECORDED, ROSTER, STATION, UPDATES, WHERE, model
from twins.manifest import TwinPolicy
from twins.model import TwinModel
from twins.updates import ContributionIndex

pytestmark = pytest.mark.unit

POLICY = TwinPolicy(None, max_staleness=2, sealed=False)
BASE_MODEL = model(0, 1)  # the updates of `test_checks` are (10, 1), (11, 1) and (12, 1): 10, 11 and 12 away


@given(st.integers(0, 9))
def test_an_update_may_be_as_stale_as_the_policy_says_and_no_more(staleness: int) -> None:
    found = list(check_training(replace(RECORDED, staleness=staleness), POLICY, ()))
    assert [(f.check, f.got) for f in found] == ([("staleness", f"{staleness} rounds")] if staleness > 2 else [])


def test_a_late_update_counts_in_no_model_however_stale_it_is() -> None:
    assert list(check_training(replace(RECORDED, staleness=9, late=True), POLICY, ())) == []


@pytest.mark.parametrize(("trained", "found"), [(1, 0), (2, 1), (3, 1)])
def test_attack_training_that_has_counted_already_is_found(trained: int, found: int) -> None:
    stale = replace(RECORDED, round=4, trained_round=2, staleness=2)
    earlier = replace(RECORDED, round=3, trained_round=trained)
    findings = list(check_training(stale, POLICY, (earlier,)))
    assert [f.check for f in findings] == ["repeated-training"] * found


def test_attack_a_favourites_update_beyond_the_policys_norm_is_found() -> None:
    bound = replace(POLICY, max_update_norm=11.0)
    (finding,) = check_norms(RECORDED, UPDATES, BASE_MODEL, bound)
    (biggest,) = (update for update in UPDATES if update.model().tensors["w"][0] == 12)
    assert (finding.check, finding.where) == ("norm", f"{WHERE}, device {biggest.device}")
    assert (finding.expected, finding.got) == ("an update of norm up to 11.0", "12")


def test_without_a_bound_no_norm_is_found() -> None:
    assert list(check_norms(RECORDED, UPDATES, BASE_MODEL, POLICY)) == []


def test_the_norm_is_of_the_step_and_not_of_the_weights() -> None:
    far = TwinModel({"w": np.array([1e6 + 10, 1e6], np.float32)})
    near = replace(UPDATES[0], payload=UPDATES[0].encode_payload(far, {}))
    bound = replace(POLICY, max_update_norm=10.0)
    assert list(check_norms(RECORDED, (near,), TwinModel({"w": np.full(2, 1e6, np.float32)}), bound)) == []


def index(*places: int) -> ContributionIndex:
    return ContributionIndex(tuple(UPDATES[place].entry for place in places), ())


def test_a_device_at_two_stations_is_told_with_both() -> None:
    pairs = [(STATION, index(0, 1)), (OTHER_STATION, index(1, 2))]
    assert list(double_counts(pairs)) == [(ROSTER[1], STATION, OTHER_STATION)]


def test_devices_that_count_once_each_are_not_told() -> None:
    assert list(double_counts([(STATION, index(0, 1)), (OTHER_STATION, index(2))])) == []


def test_a_device_at_three_stations_is_told_twice_each_time_with_the_first() -> None:
    third = ROSTER[0]
    pairs = [(station, index(0)) for station in (STATION, OTHER_STATION, third)]
    assert list(double_counts(pairs)) == [(ROSTER[0], STATION, OTHER_STATION), (ROSTER[0], STATION, third)]
