"""What one station of a process has fetched, the others needn't fetch: unless they can read more of it, or less."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chain.checks import Finding
from chain.evidence import Evidence
from chain.known import Known, Question
from tests.unit.chain.test_checks import DOMAIN, MANIFEST, RECORDED, ROOT, UPDATES
from twins.encryption import Grant, Keyring, ReaderKey, StationSecret, encryption_context
from twins.model import TwinModel
from twins.types import sha256_digest
from twins.updates import ContributionIndex

pytestmark = pytest.mark.unit

MODEL = TwinModel({"w": np.zeros(2, np.float32)})
INDEX = ContributionIndex(tuple(update.entry for update in UPDATES), ())
MAKER = StationSecret.from_key(bytes([9]) * 32)
PEER, STRANGER = ReaderKey.from_bytes(bytes([1]) * 32), ReaderKey.from_bytes(bytes([2]) * 32)
CONTEXT = encryption_context(MANIFEST.twin, MANIFEST.trained_round, MANIFEST.station)
HOW = MAKER.seal(b"updates", CONTEXT, [PEER.public])[1]
ASKED = Question(RECORDED, ROOT, DOMAIN, made=False)
MINE = replace(ASKED, made=True)
EVIDENCE = Evidence(RECORDED, replace(MANIFEST, encryption=HOW), MODEL, INDEX, None, b"", (), None)
OPEN = replace(EVIDENCE, manifest=MANIFEST)


class Shelf:
    """A `Known`, and how often it had to ask."""

    def __init__(self, **options: int) -> None:
        self.known, self.gathered = Known(**options), 0

    def ask(self, evidence: Evidence = EVIDENCE, question: Question = ASKED, *keys: ReaderKey) -> Evidence:
        def gather() -> Evidence:
            self.gathered += 1
            return evidence

        return self.known.evidence(question, Keyring(keys), gather)


def test_evidence_is_fetched_once_for_all_that_can_read_the_same() -> None:
    shelf = Shelf()
    assert {id(shelf.ask(EVIDENCE, ASKED, *keys)) for keys in [(), (STRANGER,), (STRANGER, STRANGER)]} == {id(EVIDENCE)}
    assert shelf.gathered == 1


def test_who_has_a_grant_looks_for_itself_and_shares_that_with_who_has_one_too() -> None:
    shelf, read = Shelf(), replace(EVIDENCE, updates=UPDATES)
    shelf.ask()
    assert shelf.ask(read, ASKED, PEER) is read
    assert shelf.ask(EVIDENCE, ASKED, STRANGER, PEER) is read
    assert shelf.ask(EVIDENCE, ASKED, MAKER) is read, "the key of who sealed it is the same key"
    assert shelf.ask(read, ASKED) is EVIDENCE
    assert shelf.gathered == 2


def test_a_grant_that_gives_no_key_is_no_less_wrong_because_others_had_none() -> None:
    shelf = Shelf()
    spoilt = replace(HOW, grants=(Grant(STRANGER.public, "0x" + "00" * 40),))
    shelf.ask(replace(EVIDENCE, manifest=replace(MANIFEST, encryption=spoilt)))
    finding = replace(EVIDENCE, findings=(Finding("format", "here", "a grant that opens", "one that doesn't"),))
    assert shelf.ask(finding, ASKED, STRANGER) is finding
    assert shelf.gathered == 2


def test_what_was_wrong_is_fetched_again() -> None:
    shelf = Shelf()
    shelf.ask(replace(EVIDENCE, findings=(Finding("artifact", "here", "bytes", "none"),)))
    assert shelf.ask() is EVIDENCE
    assert shelf.gathered == 2


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, recorded=replace(RECORDED, examples=RECORDED.examples + 1)),
        replace(ASKED, roster_root=None),
        replace(ASKED, domain=replace(DOMAIN, chain_id=1)),
    ],
    ids=["event", "roster", "ledger"],
)
def test_another_question_has_another_answer(other: Question) -> None:
    shelf = Shelf()
    shelf.ask(OPEN)
    shelf.ask(OPEN, other)
    assert shelf.gathered == 2


def test_who_made_an_update_needs_no_more_than_others_have_seen_but_is_no_witness_for_them() -> None:
    shelf = Shelf()
    shelf.ask(EVIDENCE, MINE, MAKER)
    shelf.ask(EVIDENCE, ASKED)
    assert shelf.gathered == 2, "its maker hasn't fetched the payloads"
    assert shelf.ask(EVIDENCE, MINE, MAKER) is EVIDENCE
    late = Shelf()
    late.ask(EVIDENCE, ASKED)
    late.ask(EVIDENCE, MINE, MAKER)
    assert late.gathered == 1


def test_no_more_is_kept_than_there_is_room_for() -> None:
    shelf = Shelf(most=2 * (sum(len(update.payload) for update in UPDATES) + 3 * 1024 + 8))
    read = replace(OPEN, updates=UPDATES)
    questions = [replace(ASKED, recorded=replace(RECORDED, block=number)) for number in range(3)]
    for question in questions:
        shelf.ask(read, question)
    shelf.ask(read, questions[2])
    shelf.ask(read, questions[1])
    assert shelf.gathered == 3
    shelf.ask(read, questions[0])
    assert shelf.gathered == 4, "the oldest has gone"
    small = Shelf(most=1)
    small.ask(read)
    small.ask(read)
    assert small.gathered == 2, "what never fits isn't kept"


def test_the_head_and_what_it_will_be_are_fetched_once() -> None:
    known, fetched = Known(), []

    def fetch(digest: str) -> TwinModel:
        fetched.append(digest)
        return MODEL

    first, second, third = (sha256_digest(bytes([number])) for number in range(3))
    for digest in (first, second, first, second, third, third):
        assert known.model(digest, fetch) is MODEL
    assert fetched == [first, second, third]
