from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import PDPDataError, PDPTagsError
from chain.pdp.beacon import BeaconDomain, HashChain, seed_of
from chain.pdp.keys import PrivateKey, safe_prime
from chain.pdp.proof import prove
from chain.pdp.sources import (
    BytesSource,
    FileSource,
    inclusion_proof,
    merkle_root,
    merkle_root_of,
    read_blocks,
    verify_inclusion,
)
from chain.pdp.tags import Tags, make_tags
from chain.pdp.verification import verify
from tests.slots import content, known_key
from tests.unit.chain.pdp.test_attacks import domain_of
from tests.vectors.make_pdp import CONTRACT, HOLDER, Artifact
from twins.types import Address

pytestmark = pytest.mark.unit

KEY = known_key(0)
DOMAIN = BeaconDomain(31337, Address(CONTRACT), Address(HOLDER))


@given(st.binary(min_size=1, max_size=40_000), st.integers(1, 12))
@settings(max_examples=12)
def test_whoever_has_the_bytes_proves_it_whatever_they_are(data: bytes, size: int) -> None:
    artifact = Artifact.of(data, KEY)
    challenge = artifact.challenge(size=size)
    verify(KEY.public, [challenge], challenge.sigma, prove(BytesSource(data), artifact.tags, KEY.public, challenge))


def test_tags_are_the_same_from_one_process_and_from_several() -> None:
    data = content("several", 3_000_000)
    alone = make_tags(BytesSource(data), KEY, domain_of(data), workers=1)
    done: list[int] = []
    together = make_tags(BytesSource(data), KEY, domain_of(data), workers=2, progress=done.append)
    assert together.to_bytes() == alone.to_bytes()
    assert sum(done) == alone.blocks == -(-3_000_000 // 4096)


def test_a_file_is_read_like_bytes(tmp_path: Path) -> None:
    data = content("file", 10_000)
    (tmp_path / "artifact").write_bytes(data)
    source = FileSource(tmp_path / "artifact")
    assert merkle_root(source, 4096) == merkle_root(BytesSource(data), 4096)
    assert b"".join(read_blocks(source, 4096)) == data


def test_a_file_that_became_shorter_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "artifact"
    file.write_bytes(bytes(9000))
    source = FileSource(file)
    file.write_bytes(bytes(5000))
    with pytest.raises(PDPDataError, match="expected 9000 bytes, got 5000"):
        list(read_blocks(source, 4096))


def test_tags_survive_their_file() -> None:
    tags = Artifact.of(b"abc", KEY).tags
    assert Tags.from_bytes(tags.to_bytes()).to_bytes() == tags.to_bytes()


@pytest.mark.parametrize("data", [b"", b"TPT1", b"nonsense" * 40, Artifact.of(b"abc", KEY).tags.to_bytes() + b"x"])
def test_what_is_no_file_of_tags_is_refused(data: bytes) -> None:
    with pytest.raises(PDPTagsError):
        Tags.from_bytes(data)


def test_keys_survive_their_encrypted_file_and_only_with_the_password() -> None:
    pem = KEY.to_pem(b"secret")
    assert PrivateKey.from_pem(pem, b"secret", KEY.exponent_bits) == KEY
    assert b"ENCRYPTED" in pem
    for data, password in ((pem, b"wrong"), (pem[:100], b"secret"), (b"", b"secret")):
        with pytest.raises(PDPDataError):
            PrivateKey.from_pem(data, password, KEY.exponent_bits)


def test_a_key_does_not_show_its_factors() -> None:
    assert str(KEY.p) not in repr(KEY)
    assert str(KEY.q) not in repr(KEY)


def test_a_key_of_safe_primes_says_so() -> None:
    assert KEY.ceremony == "safe"
    assert PrivateKey.generate(44_497, ceremony="rsa").ceremony == "rsa"
    with pytest.raises(PDPDataError, match="expected safe or rsa"):
        PrivateKey.generate(44_497, ceremony="quick")


def test_safe_primes_are_safe_primes() -> None:
    import gmpy2

    for _ in range(3):
        prime = safe_prime(256)
        assert prime.bit_length() == 256
        assert prime >> 254 == 3
        assert gmpy2.is_prime(prime, 40)
        assert gmpy2.is_prime(prime >> 1, 40)


# -- tree hash: RFC 6962's own vectors (Certificate Transparency, merkle_tree_test) ----------------------------------

LEAVES = [bytes.fromhex(x) for x in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
LEAVES.append(bytes.fromhex("606162636465666768696a6b6c6d6e6f"))
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("count", range(1, 9))
def test_the_tree_hash_is_that_of_certificate_transparency(count: int) -> None:
    assert merkle_root_of(iter(LEAVES[:count])).hex() == ROOTS[count - 1]


@given(st.integers(1, 40_000), st.data())
@settings(max_examples=40)
def test_every_block_is_included_and_no_other(length: int, data: st.DataObject) -> None:
    source = BytesSource(content("tree", length))
    blocks = list(read_blocks(source, 1024))
    index = data.draw(st.integers(0, len(blocks) - 1))
    root, path = merkle_root(source, 1024), inclusion_proof(source, 1024, index)
    assert verify_inclusion(root, blocks[index], index, len(blocks), path)
    assert not verify_inclusion(root, blocks[index] + b"x", index, len(blocks), path)
    assert not verify_inclusion(root, blocks[index], index, len(blocks), (*path, hashlib.sha256(b"").digest()))
    assert not verify_inclusion(root, blocks[index], len(blocks), len(blocks), path)


# -- beacon ------------------------------------------------------------------------------------------------------------


def test_each_value_is_the_preimage_of_the_one_before() -> None:
    chain = HashChain(DOMAIN, 4, 30, bytes(32))
    assert chain.anchor == chain.value(4)
    for slot in range(5, 31):
        assert DOMAIN.link(chain.value(slot)) == chain.value(slot - 1)
    for slot in (3, 31):
        with pytest.raises(ValueError, match="expected a slot from 4 to 30"):
            chain.value(slot)


def test_two_chains_of_one_station_share_nothing() -> None:
    assert HashChain.generate(DOMAIN, -1).anchor != HashChain.generate(DOMAIN, -1).anchor


@given(st.permutations([(Address(HOLDER), bytes([i]) * 32) for i in range(5)]))
def test_the_order_of_reveals_does_not_matter(reveals: list[tuple[Address, bytes]]) -> None:
    assert seed_of(1, Address(CONTRACT), 3, reveals) == seed_of(1, Address(CONTRACT), 3, sorted(reveals))
