"""Whoever keeps the artifacts can't change, swap, hide or invent any of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chain.checks import Finding
from tests.integration.audit.world import BYTES, World, checks_of, other_bytes
from twins.content import cid_of, cid_of_digest
from twins.errors import ArtifactNotFoundError
from twins.store import ArtifactStore
from twins.types import Cid
from twins.updates import ContributionIndex

pytestmark = pytest.mark.integration


class Traced(ArtifactStore):
    """A store that remembers what was asked of it, and may answer one CID with another's bytes."""

    def __init__(self, world: World, instead: dict[Cid, bytes] | None = None) -> None:
        self.world, self.instead, self.asked = world, instead or {}, set[Cid]()

    def _get(self, cid: Cid) -> bytes:
        self.asked.add(cid)
        return self.instead[cid] if cid in self.instead else self.world.read(cid)

    def _put(self, cid: Cid, data: bytes) -> None:
        raise AssertionError("an audit writes nothing")

    def _has(self, cid: Cid) -> bool:
        return True


def tier_1_without_base(world: World, number: int, error: str) -> list[Finding]:
    """What follows for the round after a model that can't be read."""
    base = world.network.ledger.model_of(world.twin, number - 1)
    return [
        Finding(
            "tier-1",
            f"round {number}, station {event.station}, station model",
            f"the base model {base} to aggregate from",
            error,
        )
        for event in world.recorded(number)
    ]


def test_an_untouched_history_is_verified(history: World) -> None:
    report = history.audit()
    assert list(report.all_findings()) == []
    assert report.ok
    body = report.to_json()
    assert body["verdict"] == "verified"
    assert body["checked"] == {"rounds": 4, "station_updates": 9, "device_updates": 18, "unchecked_updates": 0}
    assert body["head"] == {"round": 3, "model": history.final(3).model}
    assert [entry["parent"] for entry in body["rounds"]] == [None, *(e["model"] for e in body["rounds"][:-1])]
    assert report.uncounted == ()


def test_an_audit_reads_every_artifact_and_writes_none(history: World) -> None:
    # Every read is held against its CID: with this, nothing in the store can change unnoticed.
    store = Traced(history)
    assert history.audit(store=store).ok
    assert sorted(store.asked) == history.cids()


def test_a_byte_flipped_in_a_station_model_is_found(copied: World) -> None:
    event = copied.recorded(2)[1]
    ref = copied.update_manifest(event).model
    data = bytearray(copied.read(ref.cid))
    data[-1] ^= 1
    copied.overwrite(ref.cid, bytes(data))
    place = f"round 2, station {event.station}, model"
    assert copied.findings() == [Finding("artifact", place, BYTES, other_bytes(ref.cid, cid_of(bytes(data))))]


def test_a_byte_flipped_in_a_merged_model_is_found_there_and_in_all_that_learnt_from_it(copied: World) -> None:
    ref = copied.model_manifest(2).model
    data = bytearray(copied.read(ref.cid))
    data[-1] ^= 0x80
    copied.overwrite(ref.cid, bytes(data))
    error = other_bytes(ref.cid, cid_of(bytes(data)))
    expected = [Finding("artifact", "round 2, merged model", BYTES, error), *tier_1_without_base(copied, 3, error)]
    assert copied.findings() == expected


def test_a_station_manifest_edited_under_its_name_is_found(copied: World) -> None:
    event = copied.recorded(2)[0]
    edited = replace(copied.update_manifest(event), examples=1_000_000).to_bytes()
    copied.overwrite(event.update, edited)
    error = other_bytes(cid_of_digest(event.update), cid_of(edited))
    place = f"round 2, station {event.station}, manifest {event.update}"
    assert copied.findings() == [Finding("artifact", place, BYTES, error)]


def test_another_valid_manifest_in_its_place_is_found(copied: World) -> None:
    event, other = copied.recorded(3)[:2]
    copied.overwrite(event.update, copied.read(other.update))
    error = other_bytes(cid_of_digest(event.update), cid_of_digest(other.update))
    place = f"round 3, station {event.station}, manifest {event.update}"
    assert copied.findings() == [Finding("artifact", place, BYTES, error)]


def test_another_models_manifest_in_its_place_is_found(copied: World) -> None:
    final, former = copied.final(3), copied.final(2)
    copied.overwrite(final.model, copied.read(former.model))
    error = other_bytes(cid_of_digest(final.model), cid_of_digest(former.model))
    place = f"round 3, merged model, manifest {final.model}"
    assert copied.findings() == [Finding("artifact", place, BYTES, error)]


def swap(data: bytes) -> bytes:
    index = ContributionIndex.from_bytes(data)
    first, second = index.entries
    exchanged = (replace(second, device=first.device), replace(first, device=second.device))
    return replace(index, entries=exchanged).to_bytes()


def leave_out(data: bytes) -> bytes:
    index = ContributionIndex.from_bytes(data)
    return replace(index, entries=index.entries[:1]).to_bytes()


@pytest.mark.parametrize("bend", [swap, leave_out], ids=["two devices swapped", "one left out"])
def test_an_index_written_anew_is_found(copied: World, bend: Callable[[bytes], bytes]) -> None:
    event = copied.recorded(1)[2]
    ref = copied.update_manifest(event).index
    bent = bend(copied.read(ref.cid))
    copied.overwrite(ref.cid, bent)
    place = f"round 1, station {event.station}, contributions"
    assert copied.findings() == [Finding("artifact", place, BYTES, other_bytes(ref.cid, cid_of(bent)))]


def test_payloads_in_another_order_are_found(copied: World) -> None:
    event = copied.recorded(1)[2]
    ref = copied.update_manifest(event).payloads
    data = copied.read(ref.cid)
    bent = data[:9] + data[9:][::-1]
    copied.overwrite(ref.cid, bent)
    place = f"round 1, station {event.station}, device updates"
    assert copied.findings() == [Finding("artifact", place, BYTES, other_bytes(ref.cid, cid_of(bent)))]


PLACES = {"model": "model", "payloads": "device updates", "index": "contributions"}


@pytest.mark.parametrize("part", PLACES)
def test_a_missing_artifact_is_found(copied: World, part: str) -> None:
    event = copied.recorded(2)[0]
    ref = getattr(copied.update_manifest(event), part)
    copied.store.path_of(ref.cid).unlink()
    place = f"round 2, station {event.station}, {PLACES[part]}"
    error = str(ArtifactNotFoundError(ref.cid, f"not in {copied.path}"))
    assert copied.findings() == [Finding("artifact", place, BYTES, error)]


def test_a_missing_roster_is_found_in_every_round_of_its_station(copied: World) -> None:
    # The roster is one artifact for all rounds: without it nobody can tell enrolled devices from invented ones.
    event = copied.recorded(1)[0]
    copied.store.path_of(copied.update_manifest(event).roster.cid).unlink()
    places = [("artifact", f"round {number}, station {event.station}, contributions") for number in (1, 2, 3)]
    assert checks_of(copied.findings()) == places


def test_a_missing_twin_manifest_is_found_and_the_rest_is_audited(copied: World) -> None:
    digest = copied.network.registry.twin_of(copied.twin).manifest
    copied.store.path_of(cid_of_digest(digest)).unlink()
    report = copied.audit()
    error = str(ArtifactNotFoundError(cid_of_digest(digest), f"not in {copied.path}"))
    assert list(report.all_findings()) == [Finding("artifact", "twin manifest", BYTES, error)]
    assert report.name == "?"
    assert report.to_json()["checked"]["device_updates"] == 18
    # Without it nobody knows the schema: a model flipped besides must still be found.
    ref = copied.model_manifest(3).model
    copied.overwrite(ref.cid, b"\x00")
    assert checks_of(copied.findings()) == [("artifact", "twin manifest"), ("artifact", "round 3, merged model")]


def test_a_genesis_replaced_in_the_store_is_found(copied: World) -> None:
    genesis, final = copied.network.ledger.model_of(copied.twin, 0), copied.final(1).model
    copied.overwrite(genesis, copied.read(final))
    error = other_bytes(cid_of_digest(genesis), cid_of_digest(final))
    expected = [
        Finding("artifact", f"genesis, manifest {genesis}", BYTES, error),
        *tier_1_without_base(copied, 1, error),
    ]
    assert copied.findings() == expected


def test_a_genesis_model_replaced_in_the_store_is_found(copied: World) -> None:
    ref, other = copied.model_manifest(0).model, copied.model_manifest(1).model
    copied.overwrite(ref.cid, copied.read(other.cid))
    error = other_bytes(ref.cid, other.cid)
    expected = [Finding("artifact", "genesis", BYTES, error), *tier_1_without_base(copied, 1, error)]
    assert copied.findings() == expected


def test_a_store_that_answers_with_other_bytes_is_not_believed(history: World) -> None:
    # Nothing on the disk is wrong: the server in between lies, and even says so with another valid model.
    asked, answered = history.model_manifest(3).model, history.model_manifest(2).model
    store = Traced(history, {asked.cid: history.read(answered.cid)})
    place = "round 3, merged model"
    assert history.findings(store=store) == [Finding("artifact", place, BYTES, other_bytes(asked.cid, answered.cid))]


def test_everything_that_is_wrong_is_reported_in_one_run(copied: World) -> None:
    for event in copied.recorded(1):
        copied.overwrite(event.update, b"{}")
    copied.store.path_of(copied.model_manifest(3).model.cid).unlink()
    checks = [
        *(("artifact", f"round 1, station {e.station}, manifest {e.update}") for e in copied.recorded(1)),
        ("artifact", "round 3, merged model"),
    ]
    assert checks_of(copied.findings()) == checks


def test_an_empty_store_is_all_findings_and_no_traceback(history: World, tmp_path: Path) -> None:
    world = World(history.network, tmp_path / "nothing", history.keys, history.deployment)
    checks = {check for check, _ in checks_of(world.findings())}
    assert checks == {"artifact"}
    assert not world.audit().ok
