from __future__ import annotations

from dataclasses import fields

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from chain.connection import Log
from chain.encoding import CONTRACTS, interface
from chain.errors import EncodingError
from chain.events import (
    AUDIT_EVENTS,
    LEDGER_EVENTS,
    REGISTRY_EVENTS,
    Event,
    RoundFinal,
    TwinRegistered,
    UpdateRejected,
    UpdateSubmitted,
    decode_events,
    event_abi,
    topic_filter,
)
from chain.values import Reason, Recorded, RoundPolicy, Update
from twins.types import Address, TwinId, digest_bytes, sha256_digest

pytestmark = pytest.mark.unit

KINDS = REGISTRY_EVENTS + LEDGER_EVENTS + AUDIT_EVENTS
TWIN = TwinId("0x" + "ab" * 32)
STATION = Address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
HASH = "0x" + "77" * 32
OPENZEPPELIN = {"RoleAdminChanged", "RoleGranted", "RoleRevoked"}


def log(topics: list[bytes], data: bytes) -> Log:
    return Log(address=STATION, topics=tuple(topics), data=data, block=5, log_index=2, transaction=HASH)


def word(value: object, kind: str) -> bytes:
    return encode([kind], [value])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_class_has_the_contracts_arguments(kind: type[Event]) -> None:
    own = [field.name for field in fields(kind) if field.name not in ("block", "log_index", "transaction")]
    assert own == list(event_abi(kind).names)


def test_every_event_of_the_contracts_is_a_class() -> None:
    declared = {name for contract in CONTRACTS for name in interface(contract).events}
    assert declared - OPENZEPPELIN == {kind.__name__ for kind in KINDS}


@given(
    st.integers(1, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.binary(max_size=4),
)
def test_an_update_is_read_from_its_log(number: int, examples: int, staleness: int, late: bool, seed: bytes) -> None:
    digest = sha256_digest(seed)
    raw = digest_bytes(digest)
    data = encode(
        ["uint32", "uint32", "bytes32", "bytes32", "bytes32", "uint64", "uint32", "bool"],
        [number, number - 1, raw, raw, raw, examples, staleness, late],
    )
    topics = [
        event_abi(UpdateSubmitted).topic,
        digest_bytes(TWIN),
        word(number, "uint32"),
        word(STATION, "address"),
    ]
    assert decode_events([log(topics, data)], LEDGER_EVENTS) == [
        UpdateSubmitted(
            block=5,
            log_index=2,
            transaction=HASH,
            twin=TWIN,
            round=number,
            station=STATION,
            trained_round=number,
            base_round=number - 1,
            base=digest,
            update=digest,
            contributions=digest,
            examples=examples,
            staleness=staleness,
            late=late,
        )
    ]


def test_a_twins_policy_is_a_value() -> None:
    manifest = sha256_digest(b"manifest")
    data = encode(["bytes32", "(uint24,uint24,uint8,uint8)"], [digest_bytes(manifest), (1, 2, 3, 4)])
    topics = [event_abi(TwinRegistered).topic, digest_bytes(TWIN), word(STATION, "address")]
    (event,) = decode_events([log(topics, data)], REGISTRY_EVENTS)
    assert isinstance(event, TwinRegistered)
    assert event.policy == RoundPolicy(1, 2, 3, 4)


def rejection(reason: int) -> Log:
    topics = [event_abi(UpdateRejected).topic, digest_bytes(TWIN), word(1, "uint32"), word(STATION, "address")]
    return log(topics, encode(["uint8", "bytes32", "bool"], [reason, bytes(32), True]))


@pytest.mark.parametrize("reason", Reason)
def test_a_rejections_reason_is_a_value_with_a_name(reason: Reason) -> None:
    (event,) = decode_events([rejection(reason)], LEDGER_EVENTS)
    assert isinstance(event, UpdateRejected)
    assert event.reason is reason
    assert str(reason) == reason.name.lower().replace("_", " ")


def test_a_reason_that_this_version_doesnt_know_is_refused() -> None:
    with pytest.raises(EncodingError, match=r"UpdateRejected.*4"):
        decode_events([rejection(4)], LEDGER_EVENTS)


def test_what_proofs_begin_with_is_read_from_the_updates_event() -> None:
    event = UpdateSubmitted(
        block=5,
        log_index=2,
        transaction=HASH,
        twin=TWIN,
        round=7,
        station=STATION,
        trained_round=6,
        base_round=5,
        base=sha256_digest(b"base"),
        update=sha256_digest(b"update"),
        contributions=sha256_digest(b"contributions"),
        examples=9,
        staleness=1,
        late=False,
    )
    assert Recorded.of(event, sha256_digest(b"roster")) == Recorded(
        Update(TWIN, 7, 6, 5, sha256_digest(b"base"), sha256_digest(b"update"), sha256_digest(b"contributions"), 9),
        STATION,
        sha256_digest(b"roster"),
    )


def test_other_events_and_anonymous_ones_are_left_out() -> None:
    role = interface("TwinRegistry").events["RoleGranted"].topic
    assert decode_events([log([role], b""), log([], b""), log([b"\x01" * 32], b"")], KINDS) == []


@pytest.mark.parametrize(("topics", "data"), [(2, 128), (4, 128), (3, 127), (3, 0)])
def test_a_log_that_only_claims_to_be_ours_is_refused(topics: int, data: int) -> None:
    words = [event_abi(RoundFinal).topic, digest_bytes(TWIN), word(1, "uint32"), word(1, "uint32")]
    with pytest.raises(EncodingError, match="RoundFinal"):
        decode_events([log(words[:topics], bytes(data))], KINDS)


def test_a_filter_names_each_kind_once() -> None:
    topics = topic_filter(KINDS)
    assert len(set(topics)) == len(KINDS)
    assert all(len(topic) == 66 and topic.startswith("0x") for topic in topics)
