"""A twin is continued as it began, or not at all; whatever is refused is refused before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from chain.enrolment import enrol_devices, enrol_genesis, enrol_stations, enrol_twin, missing_stations
from chain.errors import RecordError
from chain.values import RoundPolicy
from fl.errors import EngineError
from tests.integration.audit.liar import shifted
from tests.integration.audit.world import World
from tests.integration.consortium import account
from twins.errors import NonFiniteError, SchemaError
from twins.manifest import TwinManifest
from twins.model import TwinModel

pytestmark = pytest.mark.integration


@pytest.fixture
def unchanged(copied: World) -> Iterator[World]:
    """A world in which a test may try, and send nothing."""
    block = copied.network.chain.block_number()
    yield copied
    assert copied.network.chain.block_number() == block


def manifest_of(world: World) -> TwinManifest:
    return world.archive.manifest(TwinManifest, world.network.registry.twin_of(world.twin).manifest)


def test_a_session_on_an_enrolled_twin_sends_nothing(unchanged: World) -> None:
    assert unchanged.session().setup == {
        "register twin": [],
        "register station": [],
        "set roster": [],
        "audit policy": [],
        "genesis": [],
    }


@pytest.mark.parametrize("stations", [1, 2])
def test_fewer_stations_than_registered_are_refused(unchanged: World, stations: int) -> None:
    fewer = replace(unchanged, settings=replace(unchanged.settings, stations=stations))
    with pytest.raises(RecordError, match=r"got 3 registered: .*run with all of them or deploy anew"):
        fewer.session()


def test_other_stations_are_refused(unchanged: World) -> None:
    registry = unchanged.network.registry
    others = [account(index).address for index in (2, 1, 3)]
    with pytest.raises(RecordError, match="every registered station has a vote"):
        missing_stations(registry, others)
    with pytest.raises(RecordError, match="every registered station has a vote"):
        enrol_stations(registry, account(0), others)


def test_stations_beyond_those_registered_are_named(unchanged: World) -> None:
    wanted = [account(index).address for index in (1, 2, 3, 4, 5)]
    assert missing_stations(unchanged.network.registry, wanted) == tuple(wanted[3:])


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"strategy": "FedAdam"}, "strategy: 'FedAvg' there, 'FedAdam' here"),
        ({"strategy": "FedProx", "strategy_arguments": ("proximal_mu=0.1",)}, "{'proximal_mu': 0.1} here"),
        ({"seed": 1}, "seed: 0 there, 1 here"),
        ({"devices": 5}, "devices: 6 there, 5 here"),
        ({"split": "some"}, "split: 'all' there, 'some' here"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_another_manifest_is_refused_with_what_differs(
    unchanged: World, change: dict[str, Any], difference: str
) -> None:
    other = replace(unchanged, settings=replace(unchanged.settings, **change))
    with pytest.raises(RecordError, match=r"run with the twin's settings or name another twin") as caught:
        other.session()
    assert difference in str(caught.value)
    assert f"registered with manifest {unchanged.network.registry.twin_of(unchanged.twin).manifest}" in str(
        caught.value
    )


def test_another_merge_rule_or_schema_is_refused(unchanged: World) -> None:
    manifest = manifest_of(unchanged)
    other = replace(manifest, merge_rule=replace(manifest.merge_rule, version="2"))
    with pytest.raises(RecordError, match="another schema or rule"):
        enrol_twin(unchanged.network.registry, unchanged.archive, account(0), other, RoundPolicy(60, 60, 1))


def test_another_genesis_is_refused(unchanged: World) -> None:
    manifest, ledger = manifest_of(unchanged), unchanged.network.ledger
    genesis = unchanged.archive.model(unchanged.model_manifest(0).model)
    recorded = ledger.model_of(unchanged.twin, 0)
    assert enrol_genesis(ledger, unchanged.archive, account(0), manifest, genesis, {"seed": 0}) is None
    with pytest.raises(RecordError, match=rf"genesis of tiny: expected 0x[0-9a-f]{{64}}, got {recorded} on the chain"):
        enrol_genesis(ledger, unchanged.archive, account(0), manifest, shifted(genesis), {"seed": 0})
    with pytest.raises(RecordError, match="on the chain"):
        enrol_genesis(ledger, unchanged.archive, account(0), manifest, genesis, {"seed": 1})


def test_a_genesis_that_is_no_model_of_the_twin_is_refused(unchanged: World) -> None:
    manifest, ledger = manifest_of(unchanged), unchanged.network.ledger
    genesis = unchanged.archive.model(unchanged.model_manifest(0).model)
    tensors = {name: array * float("nan") for name, array in genesis.tensors.items()}
    with pytest.raises(NonFiniteError):
        enrol_genesis(ledger, unchanged.archive, account(0), manifest, TwinModel(tensors), {})
    del tensors["0.bias"]
    with pytest.raises(SchemaError, match=r"0\.bias"):
        enrol_genesis(ledger, unchanged.archive, account(0), manifest, TwinModel(tensors), {})


def test_fewer_devices_than_stations_are_refused_before_anything_is_sent(unchanged: World) -> None:
    new = replace(unchanged, settings=replace(unchanged.settings, twin="new", devices=2))
    with pytest.raises(EngineError, match="at least one device per station"):
        new.session()


def test_an_enrolment_that_was_interrupted_is_completed(world: World) -> None:
    # The twin is registered, its genesis isn't yet: as after a kill between the two.
    new = replace(world, settings=replace(world.settings, twin="new"))
    manifest = replace(manifest_of(world), name="new")
    registry = world.network.registry
    assert enrol_twin(registry, world.archive, account(0), manifest, RoundPolicy(600, 600, 1)) is not None
    sent = {name: len(receipts) for name, receipts in new.session().setup.items()}
    assert sent == {"register twin": 0, "register station": 0, "set roster": 0, "audit policy": 1, "genesis": 1}
    assert new.findings() == []


def test_a_changed_roster_is_recorded_once(world: World) -> None:
    registry, station = world.network.registry, world.stations[0]
    devices = (account(60).address, account(61).address)
    assert enrol_devices(registry, station, devices) is not None
    assert enrol_devices(registry, station, devices) is None
    assert registry.station_of(station.address).device_count == 2
