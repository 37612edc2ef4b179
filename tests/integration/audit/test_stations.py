"""A station that lies on the chain itself: all digests fit, a quorum attests, and the audit says what is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from flwr import __version__ as flower_version

from chain.checks import Finding
from tests.integration.audit.liar import Liar, refuse_to_go_on, root_of, shifted
from tests.integration.audit.world import World, checks_of
from twins.aggregation import WEIGHTED_MEAN, Rule, weighted_mean
from twins.contribution import Contribution, address_of_key
from twins.model import TwinModel
from twins.types import Address
from twins.updates import DeviceUpdate, roster_tree

pytestmark = pytest.mark.integration

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # SEC 2 §2.4.1: n
STRANGER = bytes([7]) * 32


def forged(liar: Liar, device: Address, got: str, expected: str | None = None) -> Finding:
    place = f"{liar.where}, device {device}"
    return Finding("device-signature", place, expected or f"signed by {device}", got)


def findings_after(liar: Liar) -> list[Finding]:
    """Let a colluding quorum make the lie final, and audit."""
    liar.collude()
    report = liar.world.audit()
    assert report.rounds[-1].number == liar.number  # nothing stopped it: only the audit can tell
    return list(report.all_findings())


def test_a_liar_who_lies_about_nothing_is_verified(liar: Liar) -> None:
    # So that every finding below is the lie's, not the crafting's.
    liar.submit(liar.honest().updates)
    assert findings_after(liar) == []


def test_two_devices_updates_swapped_by_the_station_recover_to_each_other(liar: Liar) -> None:
    first, second = liar.honest().updates
    liar.submit([replace(second, device=first.device), replace(first, device=second.device)])
    assert findings_after(liar) == [
        forged(liar, first.device, f"recovers to {second.device}"),
        forged(liar, second.device, f"recovers to {first.device}"),
    ]


def test_two_devices_weights_swapped_under_their_signatures_recover_to_nobody_enrolled(liar: Liar) -> None:
    first, second = liar.honest().updates
    liar.submit([replace(first, payload=second.payload), replace(second, payload=first.payload)])
    findings = findings_after(liar)
    assert checks_of(findings) == checks_of([forged(liar, d.device, "") for d in (first, second)])
    assert all(f.expected == f"signed by {d.device}" for f, d in zip(findings, (first, second), strict=True))
    assert not any(device in finding.got for finding in findings for device in liar.roster)


def test_a_device_left_out_of_the_bundle_only_is_found_in_all_that_was_counted_with_it(liar: Liar) -> None:
    honest = liar.honest()
    manifest = liar.submit(
        honest.updates[:1],
        model=honest.model,
        contributions=root_of(honest.updates),
        devices=2,
        examples=honest.examples,
    )
    findings = findings_after(liar)
    one = honest.updates[:1]
    assert findings[:3] == [
        Finding("contributions", f"{liar.where}, Merkle root", manifest.contributions, str(root_of(one))),
        Finding("contributions", f"{liar.where}, devices", "2", "1"),
        Finding("contributions", f"{liar.where}, examples", str(honest.examples), str(one[0].examples)),
    ]
    assert checks_of(findings[3:]) == [("tier-1", f"{liar.where}, station model")]


def test_a_device_that_openly_took_no_part_is_no_lie(liar: Liar) -> None:
    # A device may be off. The report says how many took part, so that a station can't do this unseen for long.
    liar.submit(liar.honest().updates[:1])
    liar.collude()
    report = liar.world.audit()
    assert report.ok
    devices = {station.station: station.devices for station in report.rounds[-1].stations}
    assert devices == {account.address: 1 if account == liar.crook else 2 for account in liar.world.stations}


def test_a_signature_by_another_key_is_found(liar: Liar) -> None:
    honest = liar.honest().updates
    device = honest[0].device
    by_other = liar.signed(device, honest[0].model(), honest[0].examples, key=STRANGER)
    liar.submit([by_other, honest[1]])
    assert findings_after(liar) == [forged(liar, device, f"recovers to {address_of_key(STRANGER)}")]


@pytest.mark.parametrize(
    ("signature", "got"),
    [
        (b"", "expected 65 bytes ending in 27 or 28, got 0: 0x"),
        (b"\x01" * 64, "expected 65 bytes ending in 27 or 28, got 64: 0x" + "01" * 64),
        (bytes(64) + b"\x1b", "no key made this signature: "),
        (b"\xff" * 32 + b"\x01" * 32 + b"\x1b", "no key made this signature: "),
    ],
    ids=["none", "short", "zeros", "r beyond the field"],
)
def test_a_garbage_signature_is_found(liar: Liar, signature: bytes, got: str) -> None:
    first, second = liar.honest().updates
    liar.submit([replace(first, signature=signature), second])
    (finding,) = findings_after(liar)
    assert replace(finding, got="") == forged(liar, first.device, "", "a signature of the device")
    assert finding.got.startswith(got)


def test_a_malleated_signature_is_found_although_it_recovers_to_the_device(liar: Liar) -> None:
    first, second = liar.honest().updates
    s, v = int.from_bytes(first.signature[32:64], "big"), first.signature[64]
    malleated = first.signature[:32] + (ORDER - s).to_bytes(32, "big") + bytes([55 - v])
    liar.submit([replace(first, signature=malleated), second])
    got = "expected s in the lower half of the order (EIP-2), got the malleated signature"
    assert findings_after(liar) == [forged(liar, first.device, got, "a signature of the device")]


def test_more_examples_than_a_device_signed_for_are_found(liar: Liar) -> None:
    # Examples are the weight in the mean: a station would give its favourite device a hundredfold say.
    first, second = liar.honest().updates
    liar.submit([replace(first, examples=first.examples * 100), second])
    findings = findings_after(liar)
    assert checks_of(findings) == [("device-signature", f"{liar.where}, device {first.device}")]


def test_a_wrong_station_model_is_found_in_tier_1(liar: Liar) -> None:
    honest = liar.honest()
    liar.submit(honest.updates, model=shifted(honest.model))
    assert findings_after(liar) == [
        Finding(
            "tier-1",
            f"{liar.where}, station model",
            "the aggregate of the recorded updates, bit for bit (195 parameters)",
            "another model (1 values differ, by up to 0.5)",
        )
    ]


def test_a_wrong_sum_of_examples_is_found(liar: Liar) -> None:
    honest = liar.honest()
    liar.submit(honest.updates, examples=honest.examples + 1)
    place = f"{liar.where}, examples"
    expected = Finding("contributions", place, str(honest.examples + 1), str(honest.examples))
    assert findings_after(liar) == [expected]


def test_a_manifest_that_tells_another_story_than_the_chain_heard_is_found(liar: Liar) -> None:
    honest = liar.honest()
    # Three times the examples on the chain, which is what tier 2 weighs with; the manifest keeps the true sum.
    liar.submit(honest.updates, told={"examples": honest.examples * 3})
    place = f"{liar.where}, examples"
    expected = Finding("update-manifest", place, str(honest.examples * 3), str(honest.examples))
    assert findings_after(liar) == [expected]


def test_a_root_on_the_chain_that_no_device_stands_behind_is_found(liar: Liar) -> None:
    manifest = liar.submit(liar.honest().updates, contributions="0x" + "ab" * 32)
    findings = findings_after(liar)
    assert checks_of(findings) == [("contributions", f"{liar.where}, Merkle root")]
    assert findings[0].expected == manifest.contributions == "0x" + "ab" * 32


def test_an_invented_device_is_found_though_its_signature_is_good(liar: Liar) -> None:
    honest = liar.honest().updates
    invented = address_of_key(STRANGER)
    update = liar.signed(invented, honest[0].model(), 1000, key=STRANGER)
    liar.submit([*honest, update])
    place = f"{liar.where}, device {invented}"
    expected = Finding("roster", place, "a device of the station's roster", "a device that isn't in it")
    assert findings_after(liar) == [expected]


def test_an_invented_device_on_a_roster_of_its_own_is_found(liar: Liar) -> None:
    honest = liar.honest().updates
    invented = address_of_key(STRANGER)
    wider = (*liar.roster, invented)
    liar.submit([*honest, liar.signed(invented, honest[0].model(), key=STRANGER)], roster=wider)
    place = liar.where
    true, shown = roster_tree(liar.roster).root, roster_tree(wider).root
    expected = Finding("roster", place, f"devices under root {true}", f"devices under root {shown}")
    assert findings_after(liar) == [expected]


def test_another_stations_device_cannot_be_borrowed(liar: Liar) -> None:
    # It signed for its own station; the statement names that.
    stranger = next(t for s, t in liar.session.trainers.items() if s != liar.crook.address).roster[0]
    honest = liar.honest().updates
    donor = liar.session.followers[1]
    borrowed = donor.learn(donor.base_model(liar.head), liar.head, liar.number, donor.history()).updates
    taken = next((update for update in borrowed if update.device == stranger), borrowed[0])
    liar.submit([*honest, taken])
    place = f"{liar.where}, device {taken.device}"
    assert checks_of(findings_after(liar)) == [("roster", place), ("device-signature", place)]


def test_an_older_rounds_updates_replayed_are_found(liar: Liar) -> None:
    old = next(e for e in liar.world.recorded(1) if e.station == liar.crook.address)
    updates = liar.world.device_updates(old)
    liar.submit(updates)
    findings = findings_after(liar)
    assert checks_of(findings) == checks_of([forged(liar, update.device, "") for update in updates])


def test_an_older_rounds_manifest_replayed_is_found(liar: Liar) -> None:
    world = liar.world
    old = next(e for e in world.recorded(1) if e.station == liar.crook.address)
    liar.submit(
        liar.honest().updates,
        told={"update": old.update, "contributions": old.contributions, "examples": old.examples},
    )
    expected = [
        Finding("update-manifest", f"{liar.where}, {key}", str(now), str(then))
        for key, now, then in (
            ("round", liar.number, 1),
            ("trained_round", liar.number, 1),
            ("base_round", liar.number - 1, 0),
            ("base", world.final(3).model, old.base),
        )
    ]
    assert findings_after(liar) == expected


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_found_in_device_station_and_twin(liar: Liar, value: float) -> None:
    first, second = liar.honest().updates
    tensors = {name: array.copy() for name, array in first.model().tensors.items()}
    name = next(iter(tensors))
    tensors[name].flat[3] = value
    poisoned = liar.signed(first.device, TwinModel(tensors), first.examples)
    liar.submit([poisoned, second])

    def finite(place: str) -> Finding:
        got = f"{place}: expected finite weights, got 1 NaN or infinite values in tensor {name!r}"
        return Finding("finite", place, "a model as the twin declares", got)

    findings = findings_after(liar)
    assert findings[0] == finite("round 4, merged model")
    assert findings[1:3] == [finite(f"{liar.where}, model"), finite(f"{liar.where}, device {first.device}")]
    assert checks_of(findings[3:]) == [("tier-1", f"{liar.where}, station model")]
    assert findings[3].expected == "inputs that can be aggregated"
    assert "expected finite weights" in findings[3].got


def test_a_model_of_another_shape_is_found(liar: Liar) -> None:
    honest = liar.honest()
    tensors = {name: array[..., :2].copy() for name, array in honest.model.tensors.items()}
    small = TwinModel(tensors)
    updates = [liar.signed(device, small) for device in liar.roster]
    liar.submit(updates, model=small)
    liar.collude(model=honest.model)
    checks = checks_of(liar.world.findings())
    assert checks == [
        ("tier-2", "round 4, merged model"),
        ("schema", f"{liar.where}, model"),
        *(("schema", f"{liar.where}, device {device}") for device in liar.roster),
        ("tier-1", f"{liar.where}, station model"),
    ]


@pytest.mark.parametrize(
    ("rule", "got"),
    [
        (Rule("flwr/FedAdam", "0.0.1"), f"was computed with Flower 0.0.1, here is {flower_version}: replay with that"),
        (Rule("flwr/Imagined", flower_version), "unknown strategy 'Imagined'"),
        (Rule("acme/secret-sauce", "1"), "unknown rule acme/secret-sauce@1"),
        # The auditor must not import and run what a manifest names.
        (Rule("python/antigravity:Strategy", flower_version), "isn't trusted here: read that code"),
        (Rule(WEIGHTED_MEAN.name, "2"), "cannot compute rule twinledger/weighted-mean@2"),
        (Rule(WEIGHTED_MEAN.name, "1", {"weights": "mine"}), "expected the parameters (none), got weights"),
    ],
    ids=["another Flower", "no such strategy", "unknown", "code", "a later version", "parameters"],
)
def test_a_rule_that_the_auditor_cannot_replay_is_found(liar: Liar, rule: Rule, got: str) -> None:
    liar.submit(liar.honest().updates, rule=rule)
    (finding,) = findings_after(liar)
    assert (finding.check, finding.where) == ("tier-1", f"{liar.where}, station model")
    assert finding.expected == "inputs that can be aggregated"
    assert finding.got.startswith(f"tier 1 of round 4, station {liar.crook.address}: ")
    assert got in finding.got


def test_a_rule_that_computes_another_model_is_found(liar: Liar) -> None:
    # The rule is known and replayable, but it isn't what made this model.
    liar.submit(liar.honest().updates, rule=Rule("flwr/FedMedian", flower_version))
    (finding,) = findings_after(liar)
    assert (finding.check, finding.where) == ("tier-1", f"{liar.where}, station model")
    assert finding.got.startswith("another model (")


def test_a_device_payload_that_is_no_model_is_found(liar: Liar) -> None:
    first, second = liar.honest().updates
    junk = DeviceUpdate(first.device, 10, b"junk", b"")
    statement = Contribution(liar.world.twin, liar.number, liar.crook.address, liar.head, junk.digest, 10)
    junk = replace(junk, signature=statement.sign(liar.world.network.domain, liar.key(first.device)))
    liar.submit([junk, second], model=second.model())
    findings = findings_after(liar)
    places = [f"{liar.where}, device {first.device}", f"{liar.where}, station model"]
    assert checks_of(findings) == [("format", places[0]), ("tier-1", places[1])]


def test_several_lies_at_once_are_all_named(liar: Liar) -> None:
    first, second = liar.honest().updates
    bent = [replace(first, signature=b"\x01" * 65), second]
    liar.submit(bent, model=shifted(weighted_mean([(u.model(), u.examples) for u in bent])), devices=7)
    assert checks_of(findings_after(liar)) == [
        ("device-signature", f"{liar.where}, device {first.device}"),
        ("contributions", f"{liar.where}, devices"),
        ("tier-1", f"{liar.where}, station model"),
    ]


def test_a_lie_is_found_when_another_round_is_open_already(liar: Liar) -> None:
    liar.submit(liar.honest().updates, model=shifted(liar.honest().model))
    liar.collude()
    refuse_to_go_on(liar)
    world: World = liar.world
    assert checks_of(world.findings()) == [("tier-1", f"{liar.where}, station model")]
