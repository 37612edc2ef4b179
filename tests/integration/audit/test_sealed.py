"""Sealed device updates: what an audit finds without a grant and with one, and what a liar can hide behind a seal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.integration.audit.liar import Liar, shifted
from tests.integration.audit.test_stale import take_part
from tests.integration.audit.world import World, checks_of
from twins.encryption import ReaderId, ReaderKey, encryption_context
from twins.manifest import StationUpdateManifest, TwinPolicy
from twins.model import TwinModel
from twins.updates import DeviceUpdate, encode_payloads

pytestmark = pytest.mark.integration

AUDITOR = ReaderKey.from_bytes(bytes([3]) * 32)


@pytest.fixture
def sealed(world: World) -> World:
    """Another twin on the same chain, whose devices' updates are sealed, after its first round."""
    policy = TwinPolicy(None, max_staleness=3, sealed=True)
    mine = replace(world, settings=replace(world.settings, twin="sealed", policy=policy))
    mine.run(1)
    return mine


@pytest.fixture
def sealing(sealed: World) -> Liar:
    """Its second round, with a liar."""
    return Liar.of(sealed)


def seal(
    liar: Liar,
    updates: Sequence[DeviceUpdate],
    readers: Sequence[ReaderId] = (AUDITOR.public,),
    *,
    number: int | None = None,
    inside: bytes | None = None,
    model: TwinModel | None = None,
) -> StationUpdateManifest:
    """Record updates of the crook, sealed for readers, after whatever bends them."""
    context = encryption_context(liar.world.twin, number or liar.number, liar.crook.address)
    plaintext = encode_payloads(updates, b"") if inside is None else inside
    ciphertext, encryption = liar.crook.station_secret.seal(plaintext, context, readers)
    return liar.submit(updates, model=model, payloads=liar.world.archive.put(ciphertext), encryption=encryption)


def finish(liar: Liar) -> None:
    """The other stations, which have no grant, see nothing wrong: the round is final with the crook's update in it."""
    liar.others_submit()
    take_part(liar, liar.number, liar.session.followers[1:])
    assert liar.crook.address in {update.station for update in liar.world.model_manifest(liar.number).updates}


def test_without_a_grant_an_audit_is_incomplete_and_says_of_which_updates(sealed: World) -> None:
    report = sealed.audit()
    assert (report.verdict, report.ok, report.complete) == ("incomplete", True, False)
    assert {update.station for update in report.unchecked} == {account.address for account in sealed.stations}
    assert report.to_json()["checked"] == {
        "rounds": 2,
        "station_updates": 3,
        "device_updates": 0,
        "unchecked_updates": 3,
    }


def test_with_the_keys_of_all_stations_it_is_verified_and_with_ones_own_only_that_one(sealed: World) -> None:
    secrets = [account.station_secret for account in sealed.stations]
    assert sealed.audit(readers=secrets).verdict == "verified"
    report = sealed.audit(readers=secrets[:1])
    assert report.verdict == "incomplete"
    assert {update.station for update in report.unchecked} == {account.address for account in sealed.stations[1:]}


def test_what_needs_no_grant_is_checked_without_one(sealed: World) -> None:
    # Signatures, roster, roots, tier 2: a seal hides the devices' weights and nothing else.
    event = sealed.recorded(1)[0]
    manifest = sealed.update_manifest(event)
    sealed.overwrite(manifest.model.cid, shifted(sealed.archive.model(manifest.model)).to_bytes())
    assert sealed.audit().verdict == "failed"


def test_attack_a_bit_flipped_in_sealed_bytes_is_found_without_a_grant(sealed: World) -> None:
    event = sealed.recorded(1)[0]
    cid = sealed.update_manifest(event).payloads.cid
    data = bytearray(sealed.read(cid))
    data[-1] ^= 1
    sealed.overwrite(cid, bytes(data))
    report = sealed.audit()
    assert report.verdict == "failed"
    place = f"round 1, station {event.station}, device updates"
    assert checks_of(list(report.all_findings())) == [("artifact", place)]


def test_a_liar_who_seals_honestly_is_verified_by_whom_it_grants(sealing: Liar) -> None:
    seal(sealing, sealing.honest().updates)
    finish(sealing)
    others = [account.station_secret for account in sealing.world.stations[1:]]
    mine = sealing.world.audit(readers=(AUDITOR, *others)).rounds[-1].stations
    assert [(s.unchecked, s.findings) for s in mine if s.station == sealing.crook.address] == [(None, ())]


def found(liar: Liar) -> list[tuple[str, str]]:
    """What the auditor with a grant finds; the one without finds nothing, and says that it could not look."""
    assert liar.world.audit().verdict == "incomplete"
    report = liar.world.audit(readers=(AUDITOR,))
    assert report.verdict == "failed"
    return checks_of(list(report.all_findings()))


def test_attack_a_wrong_station_model_behind_a_seal_is_found_with_a_grant(sealing: Liar) -> None:
    honest = sealing.honest()
    seal(sealing, honest.updates, model=shifted(honest.model))
    finish(sealing)
    assert found(sealing) == [("tier-1", f"{sealing.where}, station model")]


@pytest.mark.parametrize("inside", [b"", b"TLBUNDL2\x00", b"garbage"], ids=["nothing", "no updates", "garbage"])
def test_attack_other_bytes_behind_a_seal_are_found_with_a_grant(sealing: Liar, inside: bytes) -> None:
    seal(sealing, sealing.honest().updates, inside=inside)
    finish(sealing)
    assert found(sealing) == [("format", f"{sealing.where}, device updates")]


def test_attack_sealed_bytes_moved_from_another_round_are_found_with_a_grant(sealing: Liar) -> None:
    seal(sealing, sealing.honest().updates, number=1)
    finish(sealing)
    assert found(sealing) == [("format", f"{sealing.where}, device updates")]


def test_attack_a_station_with_a_grant_accuses_of_a_wrong_model_and_one_without_does_not(sealing: Liar) -> None:
    honest = sealing.honest()
    reader = sealing.session.followers[1]
    seal(sealing, honest.updates, (sealing.world.stations[1].station_secret.public,), model=shifted(honest.model))
    sealing.others_submit()
    steps = [follower.step(sealing.number) for follower in sealing.session.followers[1:]]
    assert [step.action.value for step in steps if step] == ["disputed", "attested"]
    assert reader.account == sealing.world.stations[1]


def test_attack_updates_laid_open_where_the_twin_seals_cost_the_station_its_update(sealing: Liar) -> None:
    sealing.submit(sealing.honest().updates)
    sealing.others_submit()
    take_part(sealing, sealing.number, sealing.session.followers[1:])
    report = sealing.world.audit()
    (update,) = (u for u in report.uncounted if u.excluded)
    assert (update.station, [finding.check for finding in update.findings]) == (sealing.crook.address, ["sealing"])
    assert report.verdict == "incomplete"
