from __future__ import annotations

import pytest

from chain.errors import (
    AccessControlUnauthorizedAccount,
    EncodingError,
    TwinRegistryAlreadyRegistered,
    TwinRegistryFull,
    TwinRegistryNotTwinOwner,
    TwinRegistryTwinExists,
    TwinRegistryUnexpectedRevision,
    TwinRegistryUnknownStation,
    TwinRegistryUnknownTwin,
    TwinRegistryZeroValue,
)
from chain.events import RosterSet, StationRegistered, TwinRegistered, TwinRevised, TwinTransferred
from chain.twin_registry import RoundPolicy, Station, TwinRecord
from tests.integration.consortium import POLICY, Consortium, account, digest
from twins.types import ZERO_DIGEST, Address, twin_id

pytestmark = pytest.mark.integration

NOBODY = Address("0x" + "00" * 20)
WATCH = twin_id("watch")


def test_stations_are_listed_by_index(consortium: Consortium) -> None:
    new = account(10).address
    consortium.registry.register_station(consortium.admin, new)
    assert consortium.registry.stations() == (*(s.address for s in consortium.stations), new)
    assert consortium.registry.station_of(new) == Station(True, False, 3, 0, 0, 0, ZERO_DIGEST)


def test_reads_at_an_earlier_block_show_what_was_there(consortium: Consortium) -> None:
    receipt = consortium.registry.register_station(consortium.admin, account(10).address)
    assert len(consortium.registry.stations(receipt.block)) == 4
    assert len(consortium.registry.stations(receipt.block - 1)) == 3
    assert not consortium.registry.station_of(account(10).address, receipt.block - 1).registered


def test_a_station_cannot_admit_another(consortium: Consortium) -> None:
    with pytest.raises(AccessControlUnauthorizedAccount) as caught:
        consortium.registry.register_station(consortium.stations[0], consortium.outsider.address)
    assert caught.value.account == consortium.stations[0].address
    assert caught.value.needed_role == consortium.registry.registrar_role()


def test_a_registrar_can_be_appointed_and_dismissed(consortium: Consortium) -> None:
    registry, clerk = consortium.registry, consortium.outsider
    role = registry.registrar_role()
    registry.grant_role(consortium.admin, role, clerk.address)
    assert registry.has_role(role, clerk.address)
    registry.register_station(clerk, account(10).address)
    registry.revoke_role(consortium.admin, role, clerk.address)
    with pytest.raises(AccessControlUnauthorizedAccount):
        registry.register_station(clerk, account(11).address)


def test_a_station_is_admitted_once(consortium: Consortium) -> None:
    station = consortium.stations[1].address
    with pytest.raises(TwinRegistryAlreadyRegistered) as caught:
        consortium.registry.register_station(consortium.admin, station)
    assert caught.value.station == station


def test_the_zero_address_is_no_station(consortium: Consortium) -> None:
    with pytest.raises(TwinRegistryZeroValue):
        consortium.registry.register_station(consortium.admin, NOBODY)


def test_the_65th_station_is_refused(consortium: Consortium) -> None:
    for index in range(4, 65):
        consortium.registry.register_station(consortium.admin, account(index).address)
    assert len(consortium.registry.stations()) == 64
    with pytest.raises(TwinRegistryFull) as caught:
        consortium.registry.register_station(consortium.admin, account(65).address)
    assert caught.value.maximum == 64


def test_a_roster_replaces_the_former_and_counts_its_revisions(consortium: Consortium) -> None:
    station = consortium.stations[0]
    consortium.registry.set_roster(station, digest("roster 1"), 10)
    consortium.registry.set_roster(station, digest("roster 2"), 1_000_000)
    assert consortium.registry.station_of(station.address) == Station(
        True, False, 0, 2, 1_000_000, 0, digest("roster 2")
    )


def test_an_outsider_has_no_roster(consortium: Consortium) -> None:
    with pytest.raises(TwinRegistryUnknownStation) as caught:
        consortium.registry.set_roster(consortium.outsider, digest("roster"), 1)
    assert caught.value.account == consortium.outsider.address


@pytest.mark.parametrize(("root", "count"), [(ZERO_DIGEST, 1), (digest("roster"), 0)])
def test_an_empty_roster_is_refused(consortium: Consortium, root: str, count: int) -> None:
    with pytest.raises(TwinRegistryZeroValue):
        consortium.registry.set_roster(consortium.stations[0], root, count)  # type: ignore[arg-type]


def test_a_device_count_beyond_32_bits_never_leaves_this_machine(consortium: Consortium) -> None:
    before = consortium.chain.block_number()
    with pytest.raises(EncodingError, match="setRoster"):
        consortium.registry.set_roster(consortium.stations[0], digest("roster"), 2**32)
    assert consortium.chain.block_number() == before


def test_a_twin_is_read_as_it_was_registered(consortium: Consortium) -> None:
    policy = RoundPolicy(1, 2**24 - 1, 255)
    consortium.registry.register_twin(consortium.outsider, WATCH, digest("manifest"), policy)
    assert consortium.registry.twin_of(WATCH) == TwinRecord(consortium.outsider.address, 1, policy, digest("manifest"))


def test_a_twin_is_registered_once(consortium: Consortium) -> None:
    consortium.new_twin()
    with pytest.raises(TwinRegistryTwinExists) as caught:
        consortium.registry.register_twin(consortium.outsider, WATCH, digest("other"), POLICY)
    assert caught.value.twin == WATCH


def test_an_unknown_twin_says_so(consortium: Consortium) -> None:
    with pytest.raises(TwinRegistryUnknownTwin) as caught:
        consortium.registry.twin_of(WATCH)
    assert caught.value.twin == WATCH


@pytest.mark.parametrize("policy", [RoundPolicy(0, 60, 1), RoundPolicy(60, 0, 1), RoundPolicy(60, 60, 0)])
def test_a_policy_that_grants_nothing_is_refused(consortium: Consortium, policy: RoundPolicy) -> None:
    with pytest.raises(TwinRegistryZeroValue):
        consortium.registry.register_twin(consortium.admin, WATCH, digest("manifest"), policy)


def test_revisions_go_up_by_one(consortium: Consortium) -> None:
    consortium.new_twin()
    consortium.registry.revise_twin(consortium.admin, WATCH, 2, digest("second"))
    for wrong in (1, 2, 4):
        with pytest.raises(TwinRegistryUnexpectedRevision) as caught:
            consortium.registry.revise_twin(consortium.admin, WATCH, wrong, digest("third"))
        assert (caught.value.expected, caught.value.actual) == (3, wrong)
    assert consortium.registry.twin_of(WATCH).manifest == digest("second")


def test_a_stranger_neither_revises_nor_transfers(consortium: Consortium) -> None:
    consortium.new_twin()
    with pytest.raises(TwinRegistryNotTwinOwner) as caught:
        consortium.registry.revise_twin(consortium.stations[0], WATCH, 2, digest("second"))
    assert (caught.value.twin, caught.value.account) == (WATCH, consortium.stations[0].address)
    with pytest.raises(TwinRegistryNotTwinOwner):
        consortium.registry.transfer_twin(consortium.stations[0], WATCH, consortium.stations[0].address)


def test_a_transferred_twin_obeys_its_new_owner_only(consortium: Consortium) -> None:
    consortium.new_twin()
    consortium.registry.transfer_twin(consortium.admin, WATCH, consortium.outsider.address)
    consortium.registry.revise_twin(consortium.outsider, WATCH, 2, digest("second"))
    with pytest.raises(TwinRegistryNotTwinOwner):
        consortium.registry.revise_twin(consortium.admin, WATCH, 3, digest("third"))


def test_events_tell_the_whole_history_in_order(consortium: Consortium) -> None:
    registry, admin, station = consortium.registry, consortium.admin, consortium.stations[0]
    start = consortium.chain.block_number() + 1
    registry.register_station(admin, account(10).address)
    registry.set_roster(station, digest("roster"), 5)
    registry.register_twin(admin, WATCH, digest("manifest"), POLICY)
    registry.revise_twin(admin, WATCH, 2, digest("second"))
    last = registry.transfer_twin(admin, WATCH, station.address)
    # A role event of OpenZeppelin's in between is not ours to tell.
    registry.grant_role(admin, registry.registrar_role(), station.address)

    events = registry.events(start)
    where = [{"block": e.block, "log_index": e.log_index, "transaction": e.transaction} for e in events]
    assert events == [
        StationRegistered(station=account(10).address, index=3, **where[0]),  # type: ignore[arg-type]
        RosterSet(station=station.address, root=digest("roster"), device_count=5, revision=1, **where[1]),  # type: ignore[arg-type]
        TwinRegistered(twin=WATCH, owner=admin.address, manifest=digest("manifest"), policy=POLICY, **where[2]),  # type: ignore[arg-type]
        TwinRevised(twin=WATCH, revision=2, manifest=digest("second"), **where[3]),  # type: ignore[arg-type]
        TwinTransferred(twin=WATCH, from_=admin.address, to=station.address, **where[4]),  # type: ignore[arg-type]
    ]
    assert [e.block for e in events] == list(range(start, start + 5))
    assert events[-1].transaction == last.hash
    assert registry.events(start, start) == events[:1]
