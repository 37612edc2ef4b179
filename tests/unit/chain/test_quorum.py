"""Quorum evidence: an auditor counts the votes itself, and believes no signature that it has not checked."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.encoding import interface
from chain.events import Attested, RoundOpened, StationRegistered, StationSuspended
from chain.lineage import Lineage
from chain.quorum import QuorumCheck, quorum_of
from tests.unit.chain.test_lineage import STATIONS, TWIN, WHOLE, digest, final
from twins.contribution import Attestation, SigningDomain
from twins.types import ZERO_DIGEST, Address, Digest, digest_bytes

pytestmark = pytest.mark.unit

AT: dict[str, Any] = {"transaction": "0x00"}
DOMAIN = SigningDomain(31337, STATIONS[0])
KEYS = {station: bytes([n]) * 32 for n, station in zip((1, 2, 3), STATIONS, strict=True)}
ROUND = final(2)
REGISTERED = tuple(
    StationRegistered(block=1, log_index=i, station=station, index=i, **AT) for i, station in enumerate(STATIONS)
)
OPENED = tuple(
    RoundOpened(
        block=2,
        log_index=0,
        twin=TWIN,
        round=number,
        opener=STATIONS[0],
        electorate=0b111,
        submit_until=60,
        attest_for=60,
        min_updates=1,
        **AT,
    )
    for number in (1, 2)
)


def vote(station: Address, model: Digest = ROUND.model, log: int = 0, block: int = 8) -> Attested:
    return Attested(
        block=block, log_index=log, twin=TWIN, round=2, station=station, model=model, replaced=ZERO_DIGEST, **AT
    )


def lineage(*votes: Attested, suspended: tuple[StationSuspended, ...] = ()) -> Lineage:
    return replace(WHOLE, events=(*WHOLE.events, *OPENED, *votes), registry_events=(*REGISTERED, *suspended))


def found(told: Lineage, calldata: bytes = b"") -> list[str]:
    return [finding.got for finding in QuorumCheck(told, DOMAIN, lambda _: calldata).check(ROUND)]


@given(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_a_quorum_is_two_thirds_of_the_live_and_never_a_minority_of_all(electorate: int, active: int) -> None:
    live, quorum = electorate & active, quorum_of(electorate, electorate & active)
    assert 3 * quorum >= 2 * live.bit_count()
    assert 2 * quorum > electorate.bit_count()


def test_two_quorums_of_one_round_share_a_station() -> None:
    for size in range(1, 8):
        quorum = quorum_of(2**size - 1, 2**size - 1)
        sets = [set(some) for some in combinations(range(size), quorum)]
        assert all(one & other for one in sets for other in sets)


def test_the_votes_of_a_quorum_are_enough() -> None:
    assert found(lineage(vote(STATIONS[0]), vote(STATIONS[1]))) == []


def test_attack_an_attester_that_voted_otherwise_or_not_at_all_is_found() -> None:
    assert found(lineage(vote(STATIONS[0]))) == ["neither"]
    assert found(lineage(vote(STATIONS[0]), vote(STATIONS[1], digest("another")))) == ["neither"]


def test_a_vote_after_the_end_is_none() -> None:
    assert found(lineage(vote(STATIONS[0]), vote(STATIONS[1], block=99))) == ["neither"]


def test_a_suspended_attester_is_found() -> None:
    suspended = StationSuspended(
        block=3, log_index=0, station=STATIONS[1], by=STATIONS[0], evidence=digest("why"), **AT
    )
    assert STATIONS[1] in found(lineage(vote(STATIONS[0]), vote(STATIONS[1]), suspended=(suspended,)))


def signed(model: Digest = ROUND.model, excluded: int = 0, domain: SigningDomain = DOMAIN) -> bytes:
    function = interface("RoundLedger").functions["finalizeSigned"]
    signers = sorted(STATIONS[:2], key=str.lower)
    statement = Attestation(TWIN, 2, model, excluded)
    signatures = [statement.sign(domain, KEYS[signer]) for signer in signers]
    return function.encode(TWIN, 2, ROUND.model, signers, signatures)


def test_signatures_do_instead_of_votes() -> None:
    assert found(lineage(), signed()) == []


@pytest.mark.parametrize(
    "calldata",
    [
        signed(model=digest("another")),
        signed(excluded=1),
        signed(domain=SigningDomain(1, DOMAIN.contract)),
        signed()[:-40],
        digest_bytes(digest("no call at all")),
    ],
    ids=["another model", "another set of updates", "another chain", "cut short", "no such call"],
)
def test_attack_signatures_of_anything_else_are_worth_nothing(calldata: bytes) -> None:
    assert found(lineage(), calldata) == ["neither", "neither"]
