from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from chain.audit_values import Phase
from chain.errors import (
    SyncAuditBadReveal,
    SyncAuditNoBeacon,
    SyncAuditUnexpectedPhase,
    SyncAuditZeroValue,
    TwinRegistrySuspended,
    TwinRegistryUnknownStation,
)
from chain.pdp.beacon import BeaconDomain, HashChain, seed_of
from tests.integration.chain.audit_fixtures import Asked
from tests.integration.consortium import Consortium, digest
from tests.slots import Slots

pytestmark = pytest.mark.integration


@pytest.fixture
def slots(consortium: Consortium) -> Slots:
    return Slots.of(consortium)


def test_the_clock_in_python_is_the_contract_s(slots: Slots) -> None:
    start, timing = slots.clock.genesis, slots.clock.timing
    for within in (0, 59, 60, 179, 180, 479, 480, 599, 600):
        stamp = start + 600 * 3 + within
        slots.go(stamp)
        assert slots.audit.current_slot() == slots.clock.at(stamp)[:2]
    assert timing.slot_seconds == 600
    assert slots.clock.at(start + 60) == (0, Phase.SEALED, 120)


def test_the_seed_is_python_s_whatever_the_order_of_the_reveals(slots: Slots) -> None:
    slots.anchor(1)
    chain = slots.world.chain
    seeds = set()
    for order in permutations(range(3)):
        snapshot = chain.rpc("evm_snapshot")
        slots.reveal(1, *order)
        slots.go_to(1, Phase.PROVING)
        seeds.add(slots.audit.beacon_of(1).seed)
        chain.rpc("evm_revert", (snapshot,))
    values = [(s.address, slots.chains[s.address].value(1)) for s in slots.stations]
    assert seeds == {"0x" + seed_of(chain.chain_id, slots.audit.address, 1, values).hex()}


def test_a_seed_is_not_told_before_sealing_is_over(slots: Slots) -> None:
    slots.anchor(1)
    slots.reveal(1)
    assert int(slots.audit.beacon_of(1).seed, 16) == 0
    slots.go_to(1, Phase.PROVING, -1)
    assert int(slots.audit.beacon_of(1).seed, 16) == 0
    slots.go_to(1, Phase.PROVING)
    assert int(slots.audit.beacon_of(1).seed, 16) != 0


def test_a_withheld_reveal_does_not_stop_the_slot_and_names_who_withheld(slots: Slots) -> None:
    asked = Asked.of(slots)
    slots.anchor(asked.slot)
    slots.reveal(asked.slot, 0, 2)
    slots.go_to(asked.slot, Phase.PROVING)
    beacon = slots.audit.beacon_of(asked.slot)
    assert (beacon.electorate, beacon.revealed, beacon.required, beacon.withheld) == (0b111, 0b101, 2, 0b010)
    asked.prove()


def test_with_too_few_reveals_nobody_can_prove(slots: Slots) -> None:
    asked = Asked.of(slots)
    slots.anchor(asked.slot)
    slots.reveal(asked.slot, 1)
    slots.go_to(asked.slot, Phase.PROVING)
    with pytest.raises(SyncAuditNoBeacon) as caught:
        slots.audit.prove(slots.world.outsider, asked.slot, [asked.twin], asked.holder(), bytes(546))
    assert (caught.value.slot, caught.value.count, caught.value.required) == (asked.slot, 1, 2)


def test_after_a_missed_slot_the_next_value_is_two_hops_away(slots: Slots) -> None:
    slots.anchor(1)
    slots.reveal(1, 0, 1)
    slots.reveal(2)
    assert slots.audit.beacon_of(2).revealed == 0b111
    assert slots.audit.anchor_of(slots.stations[2].address)[1] == 3


def test_the_value_of_a_missed_slot_is_never_used(slots: Slots) -> None:
    slots.anchor(1)
    slots.go_to(2, Phase.SEALED)
    station = slots.stations[0]
    with pytest.raises(SyncAuditBadReveal):
        slots.audit.reveal(station, slots.chains[station.address].value(1))
    slots.reveal(2, 0)


def test_a_station_reveals_once_in_a_slot(slots: Slots) -> None:
    slots.anchor(1)
    slots.reveal(1, 0)
    station = slots.stations[0]
    for slot in (1, 2):
        with pytest.raises(SyncAuditBadReveal):
            slots.audit.reveal(station, slots.chains[station.address].value(slot))


def test_nobody_reveals_without_an_anchor_or_another_s_value(slots: Slots) -> None:
    slots.anchor(1, 0)
    slots.go_to(1, Phase.SEALED)
    first, second = slots.stations[:2]
    with pytest.raises(SyncAuditBadReveal):
        slots.audit.reveal(second, bytes(32))
    with pytest.raises(SyncAuditBadReveal):
        slots.audit.reveal(second, slots.chains[first.address].value(1))
    with pytest.raises(TwinRegistryUnknownStation):
        slots.audit.reveal(slots.world.outsider, bytes(32))


def test_who_has_missed_too_many_slots_sets_a_new_anchor(slots: Slots) -> None:
    slots.anchor(1, 0, 1)
    first, second = slots.stations[:2]
    slots.go_to(256, Phase.SEALED)  # 256 hops from the anchor of slot 0
    slots.audit.reveal(first, slots.chains[first.address].value(256))
    slots.go_to(257, Phase.SEALED)
    with pytest.raises(SyncAuditBadReveal):
        slots.audit.reveal(second, slots.chains[second.address].value(257))


def test_anchors_are_set_while_a_slot_is_open_and_at_no_other_time(slots: Slots) -> None:
    station = slots.stations[0]
    for phase in (Phase.SEALED, Phase.PROVING, Phase.CLOSED):
        slots.go_to(1, phase)
        with pytest.raises(SyncAuditUnexpectedPhase) as caught:
            slots.audit.set_anchor(station, bytes(31) + b"\1")
        assert (caught.value.current, caught.value.expected) == (phase, Phase.OPEN)
    slots.go_to(2, Phase.OPEN)
    with pytest.raises(SyncAuditZeroValue):
        slots.audit.set_anchor(station, bytes(32))


def test_reveals_come_while_a_slot_is_sealed_and_at_no_other_time(slots: Slots) -> None:
    slots.anchor(1)
    station = slots.stations[0]
    value = slots.chains[station.address].value(1)
    for phase in (Phase.OPEN, Phase.PROVING, Phase.CLOSED):
        slots.go_to(1, phase, 1) if phase is Phase.OPEN else slots.go_to(1, phase)
        with pytest.raises(SyncAuditUnexpectedPhase):
            slots.audit.reveal(station, value)


def test_a_suspended_station_reveals_nothing_and_is_not_missed(slots: Slots) -> None:
    slots.anchor(1)
    slots.world.registry.suspend_station(slots.world.admin, slots.stations[2].address, digest("why"))
    slots.reveal(1, 0, 1)
    with pytest.raises(TwinRegistrySuspended):
        slots.audit.reveal(slots.stations[2], slots.chains[slots.stations[2].address].value(1))
    assert slots.audit.beacon_of(1).electorate == 0b011


def test_who_is_admitted_in_mid_slot_changes_nothing_of_it(slots: Slots) -> None:
    slots.anchor(1)
    slots.reveal(1, 0)
    newcomer = slots.world.outsider
    slots.world.registry.register_station(slots.world.admin, newcomer.address)
    assert slots.audit.beacon_of(1).electorate == 0b111
    slots.reveal(1, 1)
    slots.go_to(1, Phase.PROVING)
    assert int(slots.audit.beacon_of(1).seed, 16) != 0


def test_who_withholds_picks_among_two_seeds_that_python_knows_and_no_more(slots: Slots) -> None:
    slots.anchor(1)
    chain, address = slots.world.chain, slots.audit.address
    values = [(s.address, slots.chains[s.address].value(1)) for s in slots.stations]
    seeds = []
    for shown in (values, values[:2]):
        snapshot = chain.rpc("evm_snapshot")
        slots.reveal(1, *range(len(shown)))
        slots.go_to(1, Phase.PROVING)
        seeds.append(slots.audit.beacon_of(1).seed)
        chain.rpc("evm_revert", (snapshot,))
    assert seeds == ["0x" + seed_of(chain.chain_id, address, 1, shown).hex() for shown in (values, values[:2])]
    assert seeds[0] != seeds[1]


def test_of_a_void_slot_everybody_reads_who_has_withheld(slots: Slots) -> None:
    slots.anchor(1)
    slots.reveal(1, 1)
    for slot, phase in ((1, Phase.PROVING), (1, Phase.CLOSED), (2, Phase.OPEN)):
        slots.go_to(slot, phase)
        beacon = slots.audit.beacon_of(1)
        assert (beacon.electorate, beacon.revealed, beacon.required, beacon.withheld) == (0b111, 0b010, 2, 0b101)
        assert int(beacon.seed, 16) == 0


def test_where_nobody_reveals_there_is_no_elector_and_nobody_is_asked(slots: Slots) -> None:
    asked = Asked.of(slots)
    slots.anchor(asked.slot)
    slots.go_to(asked.slot, Phase.PROVING)
    beacon = slots.audit.beacon_of(asked.slot)
    assert (beacon.electorate, beacon.revealed, beacon.required, int(beacon.seed, 16)) == (0, 0, 1, 0)
    with pytest.raises(SyncAuditNoBeacon) as caught:
        slots.audit.challenge_of(asked.slot, asked.twin, asked.holder())
    assert (caught.value.slot, caught.value.count, caught.value.required) == (asked.slot, 0, 1)


def test_anchors_and_reveals_are_taken_up_to_the_last_second_of_their_phase(slots: Slots) -> None:
    slots.anchor(1, 0, 1)
    third = slots.stations[2]
    opened, sealed, proving = (slots.clock.start_of(1, phase) for phase in (Phase.OPEN, Phase.SEALED, Phase.PROVING))
    chain = HashChain.generate(BeaconDomain(slots.world.chain.chain_id, slots.audit.address, third.address), 0, 10)
    slots.next_at(sealed - 1)
    slots.audit.set_anchor(third, chain.anchor)
    assert (slots.world.chain.timestamp() - opened, slots.audit.anchor_of(third.address)) == (59, (chain.anchor, 1))
    slots.next_at(sealed)
    with pytest.raises(SyncAuditUnexpectedPhase):
        slots.audit.set_anchor(third, chain.anchor)
    slots.audit.reveal(third, chain.value(1))
    assert slots.world.chain.timestamp() == sealed
    first, second = slots.stations[:2]
    slots.next_at(proving - 1)
    slots.audit.reveal(first, slots.chains[first.address].value(1))
    slots.next_at(proving)
    with pytest.raises(SyncAuditUnexpectedPhase):
        slots.audit.reveal(second, slots.chains[second.address].value(1))
    assert slots.audit.beacon_of(1).revealed == 0b101


def test_a_new_anchor_ends_the_old_chain(slots: Slots) -> None:
    slots.anchor(1, 0)
    station = slots.stations[0]
    old = slots.chains[station.address]
    slots.reveal(1, 0)
    slots.anchor(2, 0)
    slots.go_to(2, Phase.SEALED)
    with pytest.raises(SyncAuditBadReveal) as caught:
        slots.audit.reveal(station, old.value(2))
    assert caught.value.station == station.address
    slots.reveal(2, 0)


@pytest.mark.parametrize("what", ["chain_id", "contract", "station"])
def test_a_chain_of_values_made_for_elsewhere_reveals_nothing_here(slots: Slots, what: str) -> None:
    station, other = slots.stations[:2]
    here = BeaconDomain(slots.world.chain.chain_id, slots.audit.address, station.address)
    change = {"chain_id": 1, "contract": slots.world.ledger.address, "station": other.address}
    chain = HashChain.generate(replace(here, **{what: change[what]}), 0, 10)
    slots.go_to(1, Phase.OPEN)
    slots.audit.set_anchor(station, chain.anchor)
    slots.go_to(1, Phase.SEALED)
    with pytest.raises(SyncAuditBadReveal):
        slots.audit.reveal(station, chain.value(1))


def test_who_was_suspended_at_the_first_reveal_is_no_elector_of_the_slot_even_if_reinstated(slots: Slots) -> None:
    slots.anchor(1)
    registry, admin, third = slots.world.registry, slots.world.admin, slots.stations[2]
    registry.suspend_station(admin, third.address, digest("why"))
    slots.reveal(1, 0)
    registry.reinstate_station(admin, third.address)
    with pytest.raises(SyncAuditBadReveal):
        slots.audit.reveal(third, slots.chains[third.address].value(1))
    assert slots.audit.beacon_of(1).withheld == 0b010
    slots.reveal(2)
    assert slots.audit.beacon_of(2).revealed == 0b111
