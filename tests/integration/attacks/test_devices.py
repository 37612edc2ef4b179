"""Devices left out, invented, replayed or stolen: refused, proven or exposed. Identical updates are no lie."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.answers import Answers
from chain.enrolment import enrol_devices
from chain.lineage import roster_root_at
from chain.station import Action
from chain.values import ProvenContribution, Recorded
from tests.integration.attacks.rounds import accepted, excluded, finish, incidents
from tests.integration.audit.liar import Liar
from tests.integration.audit.world import World
from twins.contribution import Contribution, Receipt, SigningDomain, address_of_key
from twins.types import Address, Digest, twin_id
from twins.updates import DeviceUpdate, Rejection, RejectionReason, contributions_tree

pytestmark = pytest.mark.integration

STRANGER = bytes([7]) * 32


def recorded(liar: Liar) -> Recorded:
    """The crook's update as the ledger has committed to it."""
    world = liar.world
    (event,) = (e for e in world.recorded(liar.number) if e.station == liar.crook.address)
    root = roster_root_at(world.rosters(), event)
    assert root is not None
    return Recorded.of(event, root)


# -- omitted ----------------------------------------------------------------------------------------------------------


def test_attack_a_device_left_out_silently_is_exposed_and_the_update_rejected(liar: Liar) -> None:
    liar.submit(liar.honest().updates[:1], rejections=())
    liar.others_submit()
    assert finish(liar)[0] is Action.DISPUTED
    report = liar.world.audit()
    assert report.ok
    assert "omitted" in {finding.check for finding in excluded(liar, report)}
    assert liar.crook.address not in accepted(liar)
    assert {"accused", "rejected"} <= incidents(report, liar.crook.address)


def test_attack_a_device_that_has_a_receipt_and_is_said_to_be_missing_is_proven_left_out_on_the_chain(
    liar: Liar,
) -> None:
    world, ledger = liar.world, liar.world.network.ledger
    kept, left_out = liar.honest().updates
    leaf = left_out.entry.leaf_digest
    statement = Receipt(world.twin, liar.number, leaf)
    receipt = liar.crook.sign_hash(statement.signing_hash(world.network.domain))
    liar.submit([kept], rejections=[Rejection(left_out.device, RejectionReason.MISSING, "did not answer")])
    liar.others_submit()
    # The record alone shows nothing wrong: only the device knows better.
    challenger = world.stations[1]
    update = recorded(liar)
    ledger.challenge_omitted(challenger, update, leaf, receipt)
    follower = liar.session.followers[2]
    assert (
        Answers(world.twin, follower.account, follower.registry, ledger, follower.since, follower.archive).due(
            follower.state()
        )
        is None
    ), "there is no proof that the leaf is in the tree"
    world.advance(301)  # half of the attest window
    assert finish(liar)[0] is Action.SETTLED
    assert liar.crook.address not in accepted(liar)
    assert {"challenged", "rejected"} <= incidents(world.audit(), liar.crook.address)


def test_an_honest_station_answers_a_false_challenge_and_keeps_its_update(liar: Liar) -> None:
    world, ledger = liar.world, liar.world.network.ledger
    updates = liar.honest().updates
    leaf = updates[0].entry.leaf_digest
    receipt = liar.crook.sign_hash(Receipt(world.twin, liar.number, leaf).signing_hash(world.network.domain))
    liar.submit(updates)
    liar.others_submit()
    ledger.challenge_omitted(world.stations[1], recorded(liar), leaf, receipt)
    first = liar.session.followers[1]
    steps = [first.step(liar.number), first.step(liar.number)]
    assert [step.action for step in steps if step] == [Action.ATTESTED, Action.ANSWERED]
    finish(liar)
    assert liar.crook.address in accepted(liar)


def test_attack_challenges_of_every_leaf_keep_no_station_from_its_vote(liar: Liar) -> None:
    world, ledger = liar.world, liar.world.network.ledger
    liar.submit(liar.honest().updates)
    liar.others_submit()
    for event in world.recorded(liar.number):
        root = roster_root_at(world.rosters(), event)
        entries = world.archive.index(world.update_manifest(event).index).entries
        tree = contributions_tree(entries)
        assert root is not None
        for place, entry in enumerate(entries):
            leaf = ProvenContribution.of(entry)
            ledger.challenge_invented(liar.crook, Recorded.of(event, root), leaf, tree.proof(place))
    assert finish(liar) == [Action.ATTESTED] * 2
    assert accepted(liar) == {station.address for station in world.stations}


# -- invented ---------------------------------------------------------------------------------------------------------


def test_attack_an_invented_device_costs_its_station_the_update(liar: Liar) -> None:
    honest = liar.honest().updates
    invented = liar.signed(address_of_key(STRANGER), honest[0].model(), 1000, key=STRANGER)
    liar.submit([*honest, invented])
    liar.others_submit()
    finish(liar)
    assert liar.crook.address not in accepted(liar)
    report = liar.world.audit()
    assert report.ok
    assert "roster" in {finding.check for finding in excluded(liar, report)}


def test_attack_one_honest_station_is_enough_to_have_an_invented_device_rejected_on_the_chain(liar: Liar) -> None:
    world, ledger = liar.world, liar.world.network.ledger
    honest = liar.honest().updates
    invented = liar.signed(address_of_key(STRANGER), honest[0].model(), 1000, key=STRANGER)
    manifest = liar.submit([*honest, invented])
    entries = world.archive.index(manifest.index).entries
    place = [entry.device for entry in entries].index(invented.device)
    tree = contributions_tree(entries)
    challenger = world.stations[1]
    ledger.challenge_invented(challenger, recorded(liar), ProvenContribution.of(entries[place]), tree.proof(place))
    # Nobody has a proof that the device is enrolled, whoever is in league with the crook.
    world.advance(301)
    state = liar.session.followers[1].state()
    answers = Answers(world.twin, challenger, world.network.registry, ledger, world.network.since, world.archive).due(
        state
    )
    assert answers is not None
    assert answers.action is Action.SETTLED
    answers.record()
    assert liar.crook.address in {incident.who for incident in world.audit().incidents if incident.kind == "rejected"}


# -- replayed ---------------------------------------------------------------------------------------------------------


def replayed(liar: Liar, **other: object) -> DeviceUpdate:
    """A device's true update with its true signature, of something else than this round."""
    update = liar.honest().updates[0]
    domain = other.pop("domain", liar.world.network.domain)
    statement = Contribution(
        liar.world.twin, liar.number, liar.crook.address, liar.head, update.digest, update.examples
    )
    signature = replace(statement, **other).sign(domain, liar.key(update.device))  # type: ignore[arg-type]
    return replace(update, signature=signature)


@pytest.mark.parametrize(
    "other",
    [
        {"round": 3},
        {"twin": twin_id("gait")},
        {"domain": SigningDomain(1, Address("0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"))},
        {"station": address_of_key(STRANGER)},
        {"base": Digest("0x" + "5a" * 32)},
    ],
    ids=["an older round", "another twin", "another chain", "another station", "another base"],
)
def test_attack_a_device_update_replayed_from_elsewhere_is_proven_a_forgery(
    liar: Liar, other: dict[str, object]
) -> None:
    liar.submit([replayed(liar, **other), liar.honest().updates[1]])
    liar.others_submit()
    assert finish(liar)[0] is Action.PROVED
    assert liar.crook.address not in accepted(liar)
    report = liar.world.audit()
    assert report.ok
    assert "device-signature" in {finding.check for finding in excluded(liar, report)}
    assert "rejected" in incidents(report, liar.crook.address)


# -- stolen -----------------------------------------------------------------------------------------------------------


def test_a_stolen_device_key_is_worth_nothing_after_the_roster_was_rotated(liar: Liar) -> None:
    world, number = liar.world, liar.number
    honest = liar.honest().updates
    victim = honest[0].device
    by_thief = liar.signed(victim, honest[1].model(), honest[0].examples)
    # Before the rotation nobody can tell the thief from the device.
    liar.submit([by_thief, honest[1]])
    liar.others_submit()
    finish(liar)
    assert liar.crook.address in accepted(liar)
    assert world.audit().ok
    # The station enrols the device under a new key; the thief's signature is a stranger's from now on.
    rest = tuple(device for device in liar.roster if device != victim)
    enrol_devices(world.network.registry, liar.crook, (*rest, address_of_key(STRANGER)))
    step = next(filter(None, (follower.step(number + 1) for follower in liar.session.followers)))
    assert step.action is Action.OPENED
    after = replace(liar, number=number + 1)
    again = after.signed(victim, honest[1].model(), honest[0].examples)
    after.submit([again], roster=(*rest, address_of_key(STRANGER)))
    after.others_submit()
    finish(after)
    assert liar.crook.address not in accepted(after)
    # And the past stays what it was: the roster that counts is that of its time.
    report = world.audit()
    assert report.ok
    assert [number.findings for number in report.rounds] == [()] * len(report.rounds)


# -- no attack --------------------------------------------------------------------------------------------------------


def test_identical_updates_of_two_devices_and_of_two_stations_are_accepted(liar: Liar) -> None:
    world: World = liar.world
    model = liar.honest().model
    same = [liar.signed(device, model, 10) for device in liar.roster]
    assert same[0].digest == same[1].digest
    first = liar.submit(same)
    liar.others_submit()
    finish(liar)
    assert first.devices == 2
    assert liar.crook.address in accepted(liar)
    assert world.audit().verdict == "verified"


def test_identical_station_updates_are_two_updates(liar: Liar) -> None:
    world, ledger = liar.world, liar.world.network.ledger
    liar.submit(liar.honest().updates)
    event = next(e for e in world.recorded(liar.number) if e.station == liar.crook.address)
    # The same digest under another station's name: the ledger takes it, as it can't know; the manifest tells.
    other = world.stations[1]
    update = Recorded.of(event, Digest("0x" + "00" * 32)).update
    ledger.submit_update(other, update)
    digests = [e.update for e in world.recorded(liar.number)]
    assert digests == [event.update] * 2
