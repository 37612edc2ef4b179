from __future__ import annotations

import pytest

from chain.errors import (
    RoundLedgerAlreadyAttested,
    RoundLedgerAlreadySubmitted,
    RoundLedgerBadMinUpdates,
    RoundLedgerGenesisExists,
    RoundLedgerNoGenesis,
    RoundLedgerNotElector,
    RoundLedgerNotTwinOwner,
    RoundLedgerRoundOpen,
    RoundLedgerUnexpectedBase,
    RoundLedgerUnexpectedRound,
    RoundLedgerUnexpectedStatus,
    RoundLedgerUnexpectedVote,
    RoundLedgerWindowTooShort,
    RoundLedgerZeroValue,
    TwinRegistryUnknownStation,
    TwinRegistryUnknownTwin,
)
from chain.events import UpdateSubmitted
from chain.round_ledger import Head, RoundStatus
from tests.integration.consortium import POLICY, Consortium, account, digest
from twins.types import ZERO_DIGEST, Digest, twin_id

pytestmark = pytest.mark.integration

GENESIS = digest("watch model 0")


def last_update(consortium: Consortium, twin: str) -> UpdateSubmitted:
    event = consortium.ledger.events(twin, 0, kinds=(UpdateSubmitted,))[-1]  # type: ignore[arg-type]
    assert isinstance(event, UpdateSubmitted)
    return event


# -- genesis ----------------------------------------------------------------------------------------------------


def test_without_a_genesis_the_head_is_zero(consortium: Consortium) -> None:
    assert consortium.ledger.head(twin_id("watch")) == Head(0, ZERO_DIGEST)
    assert consortium.ledger.round_of(twin_id("watch")).status is RoundStatus.NONE


def test_the_genesis_is_round_zero(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    assert consortium.ledger.head(twin) == Head(0, GENESIS)
    assert consortium.ledger.model_of(twin, 0) == GENESIS


def test_a_stranger_sets_no_genesis(consortium: Consortium) -> None:
    twin = twin_id("watch")
    consortium.registry.register_twin(consortium.admin, twin, digest("manifest"), POLICY)
    with pytest.raises(RoundLedgerNotTwinOwner) as caught:
        consortium.ledger.genesis(consortium.stations[0], twin, digest("mine"))
    assert (caught.value.twin, caught.value.account) == (twin, consortium.stations[0].address)


def test_a_genesis_is_set_once(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    with pytest.raises(RoundLedgerGenesisExists) as caught:
        consortium.ledger.genesis(consortium.admin, twin, digest("another"))
    assert caught.value.twin == twin


def test_an_unknown_twin_has_no_genesis(consortium: Consortium) -> None:
    # The registry's error, passed on by the ledger.
    with pytest.raises(TwinRegistryUnknownTwin) as caught:
        consortium.ledger.genesis(consortium.admin, twin_id("nobody"), GENESIS)
    assert caught.value.twin == twin_id("nobody")


def test_a_zero_genesis_is_refused(consortium: Consortium) -> None:
    twin = twin_id("watch")
    consortium.registry.register_twin(consortium.admin, twin, digest("manifest"), POLICY)
    with pytest.raises(RoundLedgerZeroValue):
        consortium.ledger.genesis(consortium.admin, twin, ZERO_DIGEST)


# -- opening ----------------------------------------------------------------------------------------------------


def test_an_outsider_opens_no_round(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    with pytest.raises(TwinRegistryUnknownStation) as caught:
        consortium.ledger.open_round(consortium.outsider, twin, 1, 60, 60, 1)
    assert caught.value.account == consortium.outsider.address


def test_no_round_opens_without_a_genesis(consortium: Consortium) -> None:
    twin = twin_id("watch")
    consortium.registry.register_twin(consortium.admin, twin, digest("manifest"), POLICY)
    with pytest.raises(RoundLedgerNoGenesis) as caught:
        consortium.open(twin)
    assert caught.value.twin == twin


@pytest.mark.parametrize("number", [0, 2, 2**32 - 1])
def test_no_round_is_skipped(consortium: Consortium, number: int) -> None:
    twin = consortium.new_twin()
    with pytest.raises(RoundLedgerUnexpectedRound) as caught:
        consortium.open(twin, number)
    assert (caught.value.expected, caught.value.actual) == (1, number)


def test_no_round_is_used_again(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.finish(twin, 1)
    with pytest.raises(RoundLedgerUnexpectedRound) as caught:
        consortium.open(twin, 1)
    assert (caught.value.twin, caught.value.expected, caught.value.actual) == (twin, 2, 1)


def test_a_twin_has_one_open_round(consortium: Consortium) -> None:
    twin, other = consortium.new_twin(), consortium.new_twin("gait")
    consortium.open(twin)
    for number in (1, 2):
        with pytest.raises(RoundLedgerRoundOpen) as caught:
            consortium.open(twin, number)
        assert (caught.value.twin, caught.value.round) == (twin, 1)
    consortium.open(other)


@pytest.mark.parametrize(("submit_for", "attest_for"), [(59, 60), (60, 59), (0, 0)])
def test_windows_shorter_than_the_policy_are_refused(consortium: Consortium, submit_for: int, attest_for: int) -> None:
    twin = consortium.new_twin()
    with pytest.raises(RoundLedgerWindowTooShort) as caught:
        consortium.ledger.open_round(consortium.stations[0], twin, 1, submit_for, attest_for, 1)
    assert (caught.value.min_submit_for, caught.value.min_attest_for) == (60, 60)


@pytest.mark.parametrize("min_updates", [0, 4])
def test_min_updates_lies_between_policy_and_electorate(consortium: Consortium, min_updates: int) -> None:
    twin = consortium.new_twin()
    with pytest.raises(RoundLedgerBadMinUpdates) as caught:
        consortium.open(twin, 1, min_updates)
    assert (caught.value.least, caught.value.most, caught.value.actual) == (1, 3, min_updates)


def test_an_open_round_shows_its_facts(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    receipt = consortium.open(twin)
    now = consortium.chain.timestamp(receipt.block)
    state = consortium.ledger.round_of(twin)
    assert (state.number, state.status) == (1, RoundStatus.SUBMITTING)
    assert (state.submit_until, state.attest_until) == (now + 60, now + 120)
    assert (state.electorate, state.submitted, state.voted) == (0b111, 0, 0)
    assert (state.min_updates, state.quorum) == (1, 2)


# -- updates ----------------------------------------------------------------------------------------------------


def test_an_outsider_submits_nothing(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.open(twin)
    with pytest.raises(TwinRegistryUnknownStation) as caught:
        consortium.submit(consortium.outsider, twin)
    assert caught.value.account == consortium.outsider.address


def test_a_second_update_is_refused(consortium: Consortium) -> None:
    twin, station = consortium.new_twin(), consortium.stations[0]
    consortium.open(twin)
    consortium.submit(station, twin, text="first")
    for text in ("first", "second"):
        with pytest.raises(RoundLedgerAlreadySubmitted) as caught:
            consortium.submit(station, twin, text=text)
        assert (caught.value.twin, caught.value.round, caught.value.station) == (twin, 1, station.address)


def test_two_stations_may_submit_the_same_digest(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.open(twin)
    consortium.submit(consortium.stations[0], twin, text="the same")
    consortium.submit(consortium.stations[1], twin, text="the same")
    assert consortium.ledger.round_of(twin).submitted == 0b011


@pytest.mark.parametrize("field", ["base", "update", "contributions"])
def test_zero_digests_are_refused(consortium: Consortium, field: str) -> None:
    twin = consortium.new_twin()
    consortium.open(twin)
    with pytest.raises(RoundLedgerZeroValue):
        consortium.ledger.submit_update(consortium.stations[0], consortium.update(twin, 1, **{field: ZERO_DIGEST}))


def test_an_update_of_no_examples_is_refused(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.open(twin)
    with pytest.raises(RoundLedgerZeroValue):
        consortium.ledger.submit_update(consortium.stations[0], consortium.update(twin, 1, examples=0))


def test_an_unknown_base_is_refused(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.open(twin)
    with pytest.raises(RoundLedgerUnexpectedBase) as caught:
        consortium.ledger.submit_update(consortium.stations[0], consortium.update(twin, 1, base=digest("invented")))
    error = caught.value
    assert (error.base_round, error.expected, error.actual) == (0, GENESIS, digest("invented"))


def test_a_rollback_under_a_newer_round_number_is_refused(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    first = consortium.finish(twin, 1)
    consortium.open(twin, 2)
    with pytest.raises(RoundLedgerUnexpectedBase) as caught:
        consortium.ledger.submit_update(consortium.stations[0], consortium.update(twin, 2, base_round=1, base=GENESIS))
    assert (caught.value.expected, caught.value.actual) == (first, GENESIS)


@pytest.mark.parametrize("base_round", [1, 2, 2**32 - 1])
def test_a_future_base_is_refused(consortium: Consortium, base_round: int) -> None:
    twin = consortium.new_twin()
    consortium.open(twin)
    with pytest.raises(RoundLedgerUnexpectedBase) as caught:
        consortium.ledger.submit_update(consortium.stations[0], consortium.update(twin, 1, base_round=base_round))
    assert (caught.value.base_round, caught.value.expected) == (base_round, ZERO_DIGEST)


def test_a_candidate_is_no_base(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.open(twin)
    consortium.submit(consortium.stations[0], twin)
    consortium.advance(60)
    consortium.attest(consortium.stations[0], twin, text="candidate")
    with pytest.raises(RoundLedgerUnexpectedBase):
        consortium.ledger.submit_update(
            consortium.stations[1], consortium.update(twin, 1, base_round=1, base=digest("candidate"))
        )


def test_an_update_of_a_round_that_never_was_is_refused(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.open(twin)
    with pytest.raises(RoundLedgerUnexpectedRound) as caught:
        consortium.submit(consortium.stations[0], twin, 2)
    assert (caught.value.expected, caught.value.actual) == (1, 2)


def test_staleness_counts_rounds_behind_the_newest_model(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.finish(twin, 1)
    consortium.finish(twin, 2)
    consortium.open(twin, 3)
    consortium.ledger.submit_update(consortium.stations[0], consortium.update(twin, 3, base_round=0, base=GENESIS))
    assert last_update(consortium, twin).staleness == 2
    consortium.submit(consortium.stations[1], twin, 3)
    assert last_update(consortium, twin).staleness == 0


def test_an_update_after_the_window_is_recorded_and_not_counted(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.open(twin)
    consortium.submit(consortium.stations[0], twin)
    consortium.advance(60)
    receipt = consortium.submit(consortium.stations[1], twin, text="late")
    event = last_update(consortium, twin)
    assert (event.late, event.update, event.transaction) == (True, digest("late"), receipt.hash)
    assert consortium.ledger.round_of(twin).submitted == 0b001


def test_an_update_of_an_older_round_is_recorded_and_not_counted(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.finish(twin, 1)
    consortium.open(twin, 2)
    update = consortium.update(twin, 1, "forgotten", base_round=0, base=GENESIS)
    consortium.ledger.submit_update(consortium.stations[0], update)
    event = last_update(consortium, twin)
    assert (event.round, event.late) == (1, True)
    assert consortium.ledger.round_of(twin).submitted == 0


def test_a_station_added_in_mid_round_has_neither_update_nor_vote(consortium: Consortium) -> None:
    twin, new = consortium.new_twin(), account(10)
    consortium.open(twin)
    consortium.registry.register_station(consortium.admin, new.address)
    with pytest.raises(RoundLedgerNotElector) as caught:
        consortium.submit(new, twin)
    assert (caught.value.twin, caught.value.round, caught.value.station) == (twin, 1, new.address)
    consortium.submit_all(twin)
    with pytest.raises(RoundLedgerNotElector):
        consortium.attest(new, twin)
    for station in consortium.stations[:2]:
        consortium.attest(station, twin)
    consortium.open(twin, 2)
    consortium.submit(new, twin, 2)
    assert consortium.ledger.round_of(twin).submitted == 0b1000


# -- votes ------------------------------------------------------------------------------------------------------


def test_an_outsider_attests_nothing(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.open(twin)
    consortium.submit_all(twin)
    with pytest.raises(TwinRegistryUnknownStation) as caught:
        consortium.attest(consortium.outsider, twin)
    assert caught.value.account == consortium.outsider.address


def test_no_vote_while_updates_are_awaited(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.open(twin)
    consortium.submit(consortium.stations[0], twin)
    with pytest.raises(RoundLedgerUnexpectedStatus) as caught:
        consortium.attest(consortium.stations[0], twin)
    assert (caught.value.round, caught.value.current) == (1, RoundStatus.SUBMITTING)


def test_no_vote_with_too_few_updates(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.open(twin, min_updates=2)
    consortium.submit(consortium.stations[0], twin)
    consortium.advance(60)
    with pytest.raises(RoundLedgerUnexpectedStatus) as caught:
        consortium.attest(consortium.stations[0], twin)
    assert caught.value.current is RoundStatus.EXPIRED


def test_votes_begin_as_soon_as_all_have_submitted(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.open(twin)
    consortium.submit_all(twin)
    assert consortium.ledger.round_of(twin).status is RoundStatus.ATTESTING
    consortium.attest(consortium.stations[0], twin)


def test_a_dead_station_does_not_block(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.open(twin)
    for station in consortium.stations[:2]:
        consortium.submit(station, twin)
    consortium.advance(60)
    for station in consortium.stations[:2]:
        consortium.attest(station, twin)
    assert consortium.ledger.head(twin) == Head(1, digest("model 1"))


def test_a_second_vote_is_refused(consortium: Consortium) -> None:
    twin, station = consortium.new_twin(), consortium.stations[0]
    consortium.open(twin)
    consortium.submit_all(twin)
    consortium.attest(station, twin)
    for text in ("model 1", "another"):
        with pytest.raises(RoundLedgerAlreadyAttested) as caught:
            consortium.attest(station, twin, text=text)
        assert (caught.value.twin, caught.value.round, caught.value.station) == (twin, 1, station.address)
    assert consortium.ledger.votes_for(twin, digest("model 1")) == 0b001


def test_a_moved_vote_counts_once(consortium: Consortium) -> None:
    twin, ledger = consortium.new_twin(), consortium.ledger
    consortium.open(twin)
    consortium.submit_all(twin)
    consortium.attest(consortium.stations[0], twin, text="wrong")
    consortium.attest(consortium.stations[0], twin, text="right", replaced=digest("wrong"))
    assert ledger.votes_for(twin, digest("wrong")) == 0
    assert ledger.votes_for(twin, digest("right")) == 0b001
    assert ledger.round_of(twin).status is RoundStatus.ATTESTING
    consortium.attest(consortium.stations[1], twin, text="right")
    assert ledger.head(twin) == Head(1, digest("right"))


def test_a_vote_that_was_never_cast_cannot_be_moved(consortium: Consortium) -> None:
    twin, station = consortium.new_twin(), consortium.stations[1]
    consortium.open(twin)
    consortium.submit_all(twin)
    consortium.attest(consortium.stations[0], twin, text="hers")
    with pytest.raises(RoundLedgerUnexpectedVote) as caught:
        consortium.attest(station, twin, text="mine", replaced=digest("hers"))
    assert (caught.value.station, caught.value.replaced) == (station.address, digest("hers"))


def test_a_vote_for_nothing_is_refused(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.open(twin)
    consortium.submit_all(twin)
    with pytest.raises(RoundLedgerZeroValue):
        consortium.ledger.attest(consortium.stations[0], twin, 1, ZERO_DIGEST)


def test_at_quorum_the_head_moves_and_the_past_stays(consortium: Consortium) -> None:
    twin, ledger = consortium.new_twin(), consortium.ledger
    first = consortium.finish(twin, 1)
    second = consortium.finish(twin, 2)
    assert ledger.head(twin) == Head(2, second)
    assert [ledger.model_of(twin, n) for n in range(4)] == [GENESIS, first, second, ZERO_DIGEST]
    assert ledger.round_of(twin).status is RoundStatus.FINAL


def test_a_final_round_takes_no_vote_and_no_abortion(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.finish(twin, 1)
    for attempt in (
        lambda: consortium.attest(consortium.stations[2], twin),
        lambda: consortium.ledger.abort_round(consortium.stations[2], twin, 1),
    ):
        with pytest.raises(RoundLedgerUnexpectedStatus) as caught:
            attempt()
        assert caught.value.current is RoundStatus.FINAL


def test_an_update_of_a_final_round_is_late(consortium: Consortium) -> None:
    twin = consortium.new_twin()
    consortium.open(twin)
    for station in consortium.stations[:2]:
        consortium.submit(station, twin)
    consortium.advance(60)
    for station in consortium.stations[:2]:
        consortium.attest(station, twin)
    update = consortium.update(twin, 1, "too late", base_round=0, base=GENESIS)
    consortium.ledger.submit_update(consortium.stations[2], update)
    assert last_update(consortium, twin).late


# -- abortion ---------------------------------------------------------------------------------------------------


def test_without_quorum_anyone_aborts_and_the_head_stays(consortium: Consortium) -> None:
    twin, ledger = consortium.new_twin(), consortium.ledger
    consortium.open(twin)
    consortium.submit_all(twin)
    consortium.attest(consortium.stations[0], twin, text="alone")
    with pytest.raises(RoundLedgerUnexpectedStatus) as caught:
        ledger.abort_round(consortium.outsider, twin, 1)
    assert caught.value.current is RoundStatus.ATTESTING
    consortium.advance(120)
    assert ledger.round_of(twin).status is RoundStatus.EXPIRED
    ledger.abort_round(consortium.outsider, twin, 1)
    assert ledger.round_of(twin).status is RoundStatus.ABORTED
    assert ledger.head(twin) == Head(0, GENESIS)
    assert ledger.model_of(twin, 1) == ZERO_DIGEST


def test_after_an_abortion_the_next_round_descends_from_the_head(consortium: Consortium) -> None:
    twin, ledger = consortium.new_twin(), consortium.ledger
    consortium.open(twin)
    consortium.advance(60)  # nobody submitted: expired without waiting for votes
    ledger.abort_round(consortium.stations[1], twin, 1)
    second = consortium.finish(twin, 2)
    assert ledger.head(twin) == Head(2, second)
    final = ledger.events(twin, 0)[-1]
    assert (final.parent, final.attesters, final.accepted) == (GENESIS, 0b011, 0b111)  # type: ignore[attr-defined]


def test_quorum_is_two_thirds_rounded_up(consortium: Consortium) -> None:
    for electors in range(1, 65):
        assert consortium.ledger.quorum_of((1 << electors) - 1) == -(-2 * electors // 3)


def test_a_digest_that_is_none_never_leaves_this_machine(consortium: Consortium) -> None:
    from twins.errors import FormatError

    with pytest.raises(FormatError):
        consortium.ledger.attest(consortium.stations[0], twin_id("watch"), 1, Digest("0x12"))
