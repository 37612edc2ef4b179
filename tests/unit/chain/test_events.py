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
    LEDGER_EVENTS,
    REGISTRY_EVENTS,
    Event,
    RoundFinal,
    TwinRegistered,
    UpdateSubmitted,
    decode_events,
    event_abi,
    topic_filter,
)
from chain.values import RoundPolicy
from twins.types import Address, TwinId, digest_bytes, sha256_digest

pytestmark = pytest.mark.unit

KINDS = REGISTRY_EVENTS + LEDGER_EVENTS
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
        ["uint32", "bytes32", "bytes32", "bytes32", "uint64", "uint32", "bool"],
        [number - 1, raw, raw, raw, examples, staleness, late],
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
    data = encode(["bytes32", "(uint24,uint24,uint8)"], [digest_bytes(manifest), (1, 2, 3)])
    topics = [event_abi(TwinRegistered).topic, digest_bytes(TWIN), word(STATION, "address")]
    (event,) = decode_events([log(topics, data)], REGISTRY_EVENTS)
    assert isinstance(event, TwinRegistered)
    assert event.policy == RoundPolicy(1, 2, 3)


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
