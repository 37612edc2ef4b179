"""The vectors that Hardhat reads as well: docs/protocol-pdp.md's known answers first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chain.errors import PDPClaim, PDPError
from chain.pdp.beacon import BeaconDomain, seed_of
from chain.pdp.challenge import Challenge, claim_digest, quorum_digest
from chain.pdp.keys import PublicKey
from chain.pdp.sources import BytesSource, merkle_root
from chain.pdp.tags import TagDomain
from chain.pdp.verification import check_claim, product_of, verify, verify_claimed
from chain.pdp.words import DOMAINS, element, full_domain_hash
from tests.vectors.make_pdp import CONTRACT, HOLDER, cases
from twins.types import Address

pytestmark = pytest.mark.unit

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[3] / "vectors" / "pdp.json").read_text(encoding="utf-8")
)
ZERO = bytes(32)


def test_the_known_answers_of_the_protocol() -> None:
    assert DOMAINS["tag"].hex() == "f6509c2a621ae942388b663101f6147ae25282a17ed9ba85d68312d775632db2"
    hashed = element(full_domain_hash(ZERO, 1)).hex()
    assert (hashed[:16], hashed[-16:]) == ("1c215b54eec9ee6a", "d5d7a6908ee8598c")
    abc = merkle_root(BytesSource(b"abc"), 4096)
    assert abc.hex() == "609f6e36d2405585188d5cfd761f407c7cc46a7d3f314c88270469dde315fcd1"
    zeros = merkle_root(BytesSource(bytes(4097)), 4096)
    assert zeros.hex() == "1a334171955b2fdb714a54d6e1a6beb6e3d7c0410d65f31561ec40c2ddc04b21"
    station = contract = Address(CONTRACT)
    station = Address(HOLDER)
    link = BeaconDomain(31337, contract, station).link(ZERO)
    assert link.hex() == "d0890d167ea1c6e5fe1ea9dd158114e4b9b0cc7d4a90754857691fe58b2805aa"
    seed = seed_of(31337, contract, 7, [(station, ZERO)])
    assert seed.hex() == "af3e97db6cd11a59fe0e07fc6be968e1a631c3c51a4150288a0a5e3df49be4c2"
    tau = TagDomain(31337, contract, ZERO, 1, ZERO, ZERO, abc, 3, 4096).tau
    assert tau.hex() == "ad54426ee820514f6a4e3c2cf8a69be78ffe165716fe9dc690a7ae4ef680e0c7"
    one = Challenge.of(seed, tau, station, blocks=1, size=100)
    assert one.sigma.hex() == "87826ef06e402e3638659fa43036298822a682ee09ba1ec3c4895f9dcce8b6e2"
    assert list(one.indices()) == [(0, 506223050)]
    thousand = Challenge.of(seed, tau, station, blocks=1000, size=100)
    assert list(thousand.indices())[:2] == [(820, 506223050), (351, 3393017262)]
    claim = claim_digest(one.sigma, bytes(802))
    assert claim.hex() == "24f7d169632436037d80be9b76afce13949f9fcdd8b1c5a86dbbb5e0047aa14d"
    quorum = quorum_digest(31337, contract, 7, ZERO, one.sigma, ZERO)
    assert quorum.hex() == "aae8846ece1dd2916a85325587d3148520daadfc384b603a82025c3a09ed237a"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_each_vector_comes_out_as_it_says(vector: dict[str, Any]) -> None:
    key = PublicKey(vector["exponentBits"], int(vector["modulus"], 16))
    assert (key.key_id, key.generator_bytes.hex()) == (vector["keyId"], vector["generator"])
    asked = [
        Challenge(bytes.fromhex(c["tau"]), bytes.fromhex(c["sigma"]), c["blocks"], c["size"])
        for c in vector["challenges"]
    ]
    transcript, proof = bytes.fromhex(vector["transcript"]), bytes.fromhex(vector["proof"])
    assert element(int(product_of(key, asked))).hex() == vector["product"]
    try:
        if vector["claimed"]:
            verify_claimed(key, transcript, proof)
        else:
            verify(key, asked, transcript, proof)
        outcome = "ok"
    except PDPError as error:
        outcome = type(error).__name__
    assert outcome == vector["expected"]


@pytest.mark.parametrize(
    "name", ["claimed from nothing: consistent, and false", "claimed -T and -P, the rest as it was"]
)
def test_a_false_claim_passes_all_checks_but_the_sixth(name: str) -> None:
    vector = next(v for v in VECTORS if v["name"] == name)
    key = PublicKey(vector["exponentBits"], int(vector["modulus"], 16))
    (c,) = vector["challenges"]
    asked = Challenge(bytes.fromhex(c["tau"]), bytes.fromhex(c["sigma"]), c["blocks"], c["size"])
    assert vector["expected"] == "ok"
    with pytest.raises(PDPClaim):
        check_claim(key, [asked], asked.sigma, bytes.fromhex(vector["proof"]))


def test_the_file_is_what_the_code_makes() -> None:
    assert list(cases()) == VECTORS, "renew it: .venv/bin/python tests/vectors/make_pdp.py"
