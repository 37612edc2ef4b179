"""Signed contributions: EIP-712 as eth_account computes it, then replays and malformed signatures."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.datatypes import Signature
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.twins.strategies import addresses, contributions, statements
from twins.contribution import (
    Attestation,
    Contribution,
    Receipt,
    SigningDomain,
    Statement,
    address_of_key,
    contribution_leaf,
)
from twins.errors import SignatureError
from twins.types import Digest, TwinId, address_of_bytes, twin_id

pytestmark = pytest.mark.unit

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # SEC 2 §2.4.1
TYPES = {
    "Contribution": [
        {"name": "twin", "type": "bytes32"},
        {"name": "round", "type": "uint64"},
        {"name": "station", "type": "address"},
        {"name": "base", "type": "bytes32"},
        {"name": "digest", "type": "bytes32"},
        {"name": "examples", "type": "uint64"},
    ],
    "Receipt": [
        {"name": "twin", "type": "bytes32"},
        {"name": "round", "type": "uint64"},
        {"name": "leaf", "type": "bytes32"},
    ],
    "Attestation": [
        {"name": "twin", "type": "bytes32"},
        {"name": "round", "type": "uint32"},
        {"name": "model", "type": "bytes32"},
        {"name": "excluded", "type": "uint64"},
    ],
}

domains = st.builds(SigningDomain, chain_id=st.integers(0, 2**256 - 1), contract=addresses)
keys = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))

KEY = keccak(b"device")
DEVICE = address_of_key(KEY)
DOMAIN = SigningDomain(31337, address_of_bytes(b"\x01" * 20))
CONTRIBUTION = Contribution(
    twin=twin_id("plant/pump"),
    round=7,
    station=address_of_bytes(b"\x02" * 20),
    base=Digest("0x" + "03" * 32),
    digest=Digest("0x" + "04" * 32),
    examples=120,
)
SIGNATURE = CONTRIBUTION.sign(DOMAIN, KEY)


def typed_data(domain: SigningDomain, statement: Statement) -> Any:
    return encode_typed_data(
        {
            "name": "Twinledger",
            "version": "1",
            "chainId": domain.chain_id,
            "verifyingContract": domain.contract,
        },
        {type(statement).__name__: TYPES[type(statement).__name__]},
        vars(statement),
    )


def other(address: bytes = b"\x99") -> Any:
    return address_of_bytes(address * 20)


every_statement = pytest.mark.parametrize("kind", statements, ids=lambda kind: kind.__name__)


@every_statement
@settings(max_examples=50)
@given(domain=domains, data=st.data())
def test_separator_and_hash_equal_those_of_eth_account(
    kind: type[Statement], domain: SigningDomain, data: st.DataObject
) -> None:
    statement = data.draw(statements[kind])
    message = typed_data(domain, statement)
    assert domain.separator == message.header
    assert statement.signing_hash(domain) == keccak(b"\x19\x01" + message.header + message.body)


@every_statement
@settings(max_examples=20)
@given(domain=domains, key=keys, data=st.data())
def test_signatures_equal_those_of_eth_account_byte_for_byte(
    kind: type[Statement], domain: SigningDomain, key: bytes, data: st.DataObject
) -> None:
    statement = data.draw(statements[kind])
    message = typed_data(domain, statement)
    ours = statement.sign(domain, key)
    assert ours == Account.sign_message(message, key).signature
    assert Account.recover_message(message, signature=ours) == statement.signer(domain, ours)


@every_statement
@settings(max_examples=50)
@given(domain=domains, key=keys, data=st.data())
def test_the_signer_is_whoever_signed(
    kind: type[Statement], domain: SigningDomain, key: bytes, data: st.DataObject
) -> None:
    statement = data.draw(statements[kind])
    signature = statement.sign(domain, key)
    assert statement.signer(domain, signature) == address_of_key(key) == Account.from_key(key).address
    assert statement.sign(domain, key) == signature


RECEIPT = Receipt(twin_id("plant/pump"), 7, Digest("0x" + "05" * 32))
ATTESTATION = Attestation(twin_id("plant/pump"), 7, Digest("0x" + "06" * 32), 0b101)

VECTORS = [
    (CONTRIBUTION, "38bd34c5e55dd95eeb8137a7d0ad42c6d7e0338673f0666c54e9abbce18e41c1"),
    (RECEIPT, "31b4f3c37d8d2e221ac7a6565eae5f18bb33a1aaa26cc9c1f30f77bc05211e3d"),
    (ATTESTATION, "1a5d4400aa53fb03b160754bf9f8aabed9e5398da7ceee1138103daf225bd2bc"),
]
"""Hashes under DOMAIN, computed once with eth_account 0.14's encode_typed_data: goldens for other implementations."""


@pytest.mark.parametrize(("statement", "expected"), VECTORS, ids=["contribution", "receipt", "attestation"])
def test_the_hash_of_a_statement_is_as_ever(statement: Statement, expected: str) -> None:
    """A golden: whoever changes it makes every recorded signature worthless."""
    assert statement.signing_hash(DOMAIN).hex() == expected


REPLAYS = {
    "on another chain": (replace(DOMAIN, chain_id=1), CONTRIBUTION),
    "in another ledger": (replace(DOMAIN, contract=other()), CONTRIBUTION),
    "for another twin": (DOMAIN, replace(CONTRIBUTION, twin=twin_id("plant/fan"))),
    "in a later round": (DOMAIN, replace(CONTRIBUTION, round=8)),
    "by another station": (DOMAIN, replace(CONTRIBUTION, station=other())),
    "on another base model": (DOMAIN, replace(CONTRIBUTION, base=Digest("0x" + "99" * 32))),
    "for other weights": (DOMAIN, replace(CONTRIBUTION, digest=Digest("0x" + "99" * 32))),
    "with more examples": (DOMAIN, replace(CONTRIBUTION, examples=121)),
    "with base and digest exchanged": (
        DOMAIN,
        replace(CONTRIBUTION, base=CONTRIBUTION.digest, digest=CONTRIBUTION.base),
    ),
    "with round and examples exchanged": (DOMAIN, replace(CONTRIBUTION, round=120, examples=7)),
    "with twin and base exchanged": (
        DOMAIN,
        replace(CONTRIBUTION, twin=TwinId(CONTRIBUTION.base), base=Digest(CONTRIBUTION.twin)),
    ),
    "with station and ledger exchanged": (
        SigningDomain(DOMAIN.chain_id, CONTRIBUTION.station),
        replace(CONTRIBUTION, station=DOMAIN.contract),
    ),
}


@pytest.mark.parametrize(("domain", "contribution"), REPLAYS.values(), ids=REPLAYS.keys())
def test_a_signature_replayed(domain: SigningDomain, contribution: Contribution) -> None:
    assert CONTRIBUTION.signer(DOMAIN, SIGNATURE) == DEVICE
    with suppress(SignatureError):  # or the curve has no point for it
        assert contribution.signer(domain, SIGNATURE) != DEVICE


STATEMENT_REPLAYS: dict[str, tuple[Statement, SigningDomain, Statement]] = {
    "a receipt on another chain": (RECEIPT, replace(DOMAIN, chain_id=1), RECEIPT),
    "a receipt in another ledger": (RECEIPT, replace(DOMAIN, contract=other()), RECEIPT),
    "a receipt for another twin": (RECEIPT, DOMAIN, replace(RECEIPT, twin=twin_id("plant/fan"))),
    "a receipt of another round": (RECEIPT, DOMAIN, replace(RECEIPT, round=8)),
    "a receipt for another contribution": (RECEIPT, DOMAIN, replace(RECEIPT, leaf=Digest("0x" + "99" * 32))),
    "a vote on another chain": (ATTESTATION, replace(DOMAIN, chain_id=1), ATTESTATION),
    "a vote in another ledger": (ATTESTATION, replace(DOMAIN, contract=other()), ATTESTATION),
    "a vote for another twin": (ATTESTATION, DOMAIN, replace(ATTESTATION, twin=twin_id("plant/fan"))),
    "a vote of another round": (ATTESTATION, DOMAIN, replace(ATTESTATION, round=8)),
    "a vote for another model": (ATTESTATION, DOMAIN, replace(ATTESTATION, model=Digest("0x" + "99" * 32))),
    "a vote with another station excluded": (ATTESTATION, DOMAIN, replace(ATTESTATION, excluded=0b111)),
    "a vote with nobody excluded": (ATTESTATION, DOMAIN, replace(ATTESTATION, excluded=0)),
    "a receipt as a vote": (RECEIPT, DOMAIN, Attestation(RECEIPT.twin, RECEIPT.round, RECEIPT.leaf, 0)),
    "a vote as a receipt": (
        replace(ATTESTATION, excluded=0),
        DOMAIN,
        Receipt(ATTESTATION.twin, ATTESTATION.round, ATTESTATION.model),
    ),
}


@pytest.mark.parametrize(("signed", "domain", "replayed"), STATEMENT_REPLAYS.values(), ids=STATEMENT_REPLAYS.keys())
def test_a_stations_signature_replayed(signed: Statement, domain: SigningDomain, replayed: Statement) -> None:
    signature = signed.sign(DOMAIN, KEY)
    assert signed.signer(DOMAIN, signature) == DEVICE
    with suppress(SignatureError):
        assert replayed.signer(domain, signature) != DEVICE


def test_the_malleated_twin_of_a_signature_is_refused() -> None:
    s = ORDER - int.from_bytes(SIGNATURE[32:64], "big")
    malleated = SIGNATURE[:32] + s.to_bytes(32, "big") + bytes([27 + 28 - SIGNATURE[64]])
    # The curve accepts it as the same device's: without the check one update would have two leaves.
    recovered = Signature(
        vrs=(malleated[64] - 27, int.from_bytes(malleated[:32], "big"), s)
    ).recover_public_key_from_msg_hash(CONTRIBUTION.signing_hash(DOMAIN))
    assert str(recovered.to_checksum_address()) == DEVICE
    with pytest.raises(SignatureError, match="lower half"):
        CONTRIBUTION.signer(DOMAIN, malleated)


@given(keys, contributions)
@settings(max_examples=30)
def test_what_we_sign_is_never_in_the_upper_half(key: bytes, contribution: Contribution) -> None:
    signature = contribution.sign(DOMAIN, key)
    assert int.from_bytes(signature[32:64], "big") <= ORDER // 2
    assert signature[64] in (27, 28)


def with_rs(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + b"\x1b"


R, S = int.from_bytes(SIGNATURE[:32], "big"), int.from_bytes(SIGNATURE[32:64], "big")

MALFORMED = {
    "v 0": SIGNATURE[:64] + b"\x00",
    "v 1": SIGNATURE[:64] + b"\x01",
    "v 26": SIGNATURE[:64] + b"\x1a",
    "v 29": SIGNATURE[:64] + b"\x1d",
    "v of EIP-155": SIGNATURE[:64] + b"\x25",
    "r zero": with_rs(0, S),
    "s zero": with_rs(R, 0),
    "r and s zero, whose signer ecrecover calls the zero address": with_rs(0, 0),
    "r the order": with_rs(ORDER, S),
    "r beyond the field": with_rs(2**256 - 1, S),
    "s just above half the order": with_rs(R, ORDER // 2 + 1),
    "s beyond the order": with_rs(R, 2**256 - 1),
    "r that is no x of the curve": with_rs(5, S),
    "64 bytes (EIP-2098)": SIGNATURE[:64],
    "66 bytes": SIGNATURE + b"\x1b",
    "empty": b"",
    "zeros": bytes(65),
    "text": SIGNATURE.hex().encode(),
}


@pytest.mark.parametrize("signature", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_signature_is_refused(signature: bytes) -> None:
    with pytest.raises(SignatureError):
        CONTRIBUTION.signer(DOMAIN, signature)


@given(st.binary(min_size=64, max_size=64), st.sampled_from([27, 28]))
def test_a_signature_of_random_bytes_is_refused_or_somebody_elses(body: bytes, v: int) -> None:
    with suppress(SignatureError):
        assert CONTRIBUTION.signer(DOMAIN, body + bytes([v])) != DEVICE


@given(st.integers(0, 8 * 65 - 1))
def test_a_flipped_bit_is_refused_or_somebody_elses(bit: int) -> None:
    flipped = bytearray(SIGNATURE)
    flipped[bit // 8] ^= 1 << bit % 8
    with suppress(SignatureError):
        assert CONTRIBUTION.signer(DOMAIN, bytes(flipped)) != DEVICE


@pytest.mark.parametrize(
    "key",
    [bytes(32), ORDER.to_bytes(32, "big"), b"\xff" * 32, b"\x01" * 31, b"\x01" * 33, b""],
    ids=bytes.hex,
)
def test_what_is_no_private_key_is_refused_without_being_named(key: bytes) -> None:
    with pytest.raises(SignatureError) as refused:
        CONTRIBUTION.sign(DOMAIN, key)
    # An error goes to the log: nobody's key, however malformed, may go with it.
    assert not key or key.hex() not in str(refused.value)
    assert not key or repr(key) not in str(refused.value)


def test_the_leaf_holds_the_hash_of_the_signature() -> None:
    assert contribution_leaf(DEVICE, CONTRIBUTION.digest, 120, SIGNATURE) == (
        DEVICE,
        b"\x04" * 32,
        120,
        keccak(SIGNATURE),
    )
