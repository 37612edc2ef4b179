"""What the record holds of a station: its training, and what came late and may still count. A store in a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chain.events import UpdateSubmitted
from chain.history import RecordedHistory, base_model, late_update
from tests.unit.chain.test_checks import MANIFEST, RECORDED, ROSTER, UPDATES, model
from twins.aggregation import WEIGHTED_MEAN
from twins.archive import Archive
from twins.encryption import Keyring, StationSecret, encryption_context
from twins.errors import ArtifactNotFoundError, NoGrantError
from twins.manifest import TwinModelManifest
from twins.store import DirectoryStore
from twins.types import Digest
from twins.updates import ContributionIndex, encode_payloads

pytestmark = pytest.mark.unit

SECRET = StationSecret.from_key(bytes([9]) * 32)
NOISE = bytes([5]) * 32
BASE_MODEL = model(0, 1)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(DirectoryStore(tmp_path))


def base(archive: Archive) -> Digest:
    manifest = TwinModelManifest(
        twin=MANIFEST.twin,
        round=0,
        parent=None,
        updates=(),
        rule=WEIGHTED_MEAN,
        model=archive.put(BASE_MODEL.to_bytes()),
        examples=0,
        origin={},
    )
    return archive.put_manifest(manifest)


def recorded(archive: Archive) -> UpdateSubmitted:
    """A sealed update of this station's, with noise."""
    context = encryption_context(MANIFEST.twin, MANIFEST.trained_round, MANIFEST.station)
    payloads, encryption = SECRET.seal(encode_payloads(UPDATES, NOISE), context, ())
    manifest = replace(
        MANIFEST,
        base=base(archive),
        model=archive.put(model(11, 1).to_bytes()),
        index=archive.put(ContributionIndex(tuple(u.entry for u in UPDATES), ()).to_bytes()),
        payloads=archive.put(payloads),
        encryption=encryption,
        roster=archive.put_roster(ROSTER),
    )
    return replace(RECORDED, base=manifest.base, update=archive.put_manifest(manifest))


def test_a_station_reads_its_own_training_back_bit_for_bit_with_the_noise(archive: Archive) -> None:
    history = RecordedHistory((recorded(archive),), archive, Keyring((SECRET,)))
    assert history.rounds == (2,)
    (one,) = history.load()
    assert (one.round, one.base, one.updates, one.rule, one.noise) == (2, BASE_MODEL, UPDATES, WEIGHTED_MEAN, NOISE)


def test_nothing_is_fetched_before_it_is_needed(archive: Archive) -> None:
    history = RecordedHistory((RECORDED,), archive, Keyring())
    assert history.rounds == (2,)
    with pytest.raises(ArtifactNotFoundError):
        list(history.load())


def test_a_rule_with_state_is_not_rebuilt_from_what_another_has_sealed(archive: Archive) -> None:
    stranger = Keyring((StationSecret.from_key(bytes([8]) * 32),))
    with pytest.raises(NoGrantError):
        list(RecordedHistory((recorded(archive),), archive, stranger).load())


def test_a_final_models_weights_are_fetched_by_its_digest(archive: Archive) -> None:
    assert base_model(archive, base(archive)) == BASE_MODEL


def at(number: int, *, late: bool, trained: int | None = None) -> UpdateSubmitted:
    trained = number if trained is None else trained
    return replace(RECORDED, round=number, trained_round=trained, base_round=trained - 1, late=late)


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ((), None),
        ((at(3, late=False),), None),
        ((at(3, late=True),), 3),
        ((at(2, late=True), at(3, late=True)), 3),
        ((at(3, late=True), at(2, late=True)), 3),
        ((at(3, late=True), at(4, late=False, trained=3)), None),
        ((at(2, late=True), at(3, late=False)), None),
        ((at(2, late=False), at(3, late=True)), 3),
    ],
    ids=[
        "nothing",
        "in time",
        "late",
        "the newest of two",
        "the newest of two the other way round",
        "counted since",
        "newer training counted",
        "older training counted",
    ],
)
def test_the_newest_training_that_came_late_and_has_not_counted_is_submitted_again(
    events: tuple[UpdateSubmitted, ...], found: int | None
) -> None:
    late = late_update(events, number=5, head=4, max_staleness=9)
    assert (None if late is None else late.trained_round) == found


@pytest.mark.parametrize(("head", "counts"), [(3, True), (4, True), (5, False)])
def test_late_training_counts_as_long_as_the_policy_allows(head: int, counts: bool) -> None:
    # Trained on the model of round 2: with head 4 it is two rounds stale.
    late = late_update((at(3, late=True),), number=head + 1, head=head, max_staleness=2)
    assert (late is not None) == counts


def test_training_for_the_round_itself_is_not_submitted_to_it_twice() -> None:
    assert late_update((at(5, late=True),), number=5, head=4, max_staleness=9) is None
