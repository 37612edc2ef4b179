"""Make tests/vectors/pdp.json from chain.pdp: what pytest and Hardhat both read. Deterministic; renew it with

.venv/bin/python tests/vectors/make_pdp.py
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gmpy2
from gmpy2 import mpz

from chain.errors import PDPError
from chain.pdp.challenge import Challenge, batch_transcript
from chain.pdp.keys import PrivateKey
from chain.pdp.proof import aggregate, prove_together
from chain.pdp.sources import BytesSource, merkle_root
from chain.pdp.tags import TagDomain, Tags, make_tags
from chain.pdp.verification import find_prime, product_of, transcript_prime, verify, verify_claimed
from chain.pdp.words import element
from tests.slots import content, known_key

FILE = Path(__file__).with_name("pdp.json")
CONTRACT = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
HOLDER = "0x0000000000000000000000000000000000000001"


@dataclass(frozen=True)
class Artifact:
    """Bytes with their tags."""

    data: bytes
    key: PrivateKey
    tags: Tags

    @classmethod
    def of(cls, data: bytes, key: PrivateKey, twin: int = 1, version: int = 1, **changes: Any) -> Artifact:
        """Tag some bytes; `changes` are other fields of the tags' domain."""
        source, block = BytesSource(data), key.public.block
        root = merkle_root(source, block)
        words = (twin.to_bytes(32, "big"), version, hashlib.sha256(data).digest(), key.public.key_id)
        domain = TagDomain(31337, CONTRACT, *words, root, len(data), block)  # type: ignore[arg-type]
        return cls(data, key, make_tags(source, key, replace(domain, **changes), workers=1))

    def challenge(self, slot: int = 7, size: int = 100, holder: str = HOLDER) -> Challenge:
        """What is asked in a slot."""
        seed = hashlib.sha256(b"seed %d" % slot).digest()
        return Challenge.of(seed, self.tags.tau, holder, blocks=self.tags.blocks, size=size)  # type: ignore[arg-type]

    def claimed(self, challenge: Challenge, data: bytes | None = None) -> bytes:
        """The claimed proof."""
        source = BytesSource(self.data if data is None else data)
        return prove_together(
            [aggregate(source, self.tags, self.key.public, challenge)], self.key.public, challenge.sigma
        )


def case(name: str, key: PrivateKey, challenges: list[Challenge], transcript: bytes, proof: bytes) -> dict[str, Any]:
    """One case; what is expected is what Python says."""
    public = key.public
    claimed = "claimed" in name
    try:
        if claimed:
            verify_claimed(public, transcript, proof)
        else:
            verify(public, challenges, transcript, proof)
        expected = "ok"
    except PDPError as error:
        expected = type(error).__name__
    return {
        "name": name,
        "claimed": claimed,
        "modulus": public.modulus_bytes.hex(),
        "generator": public.generator_bytes.hex(),
        "exponentBits": public.exponent_bits,
        "keyId": public.key_id,
        "challenges": [
            {"tau": c.tau.hex(), "sigma": c.sigma.hex(), "blocks": c.blocks, "size": c.size} for c in challenges
        ],
        "transcript": transcript.hex(),
        "proof": proof.hex(),
        "product": element(int(product_of(public, challenges))).hex(),
        "expected": expected,
    }


def altered(key: PrivateKey, sigma: bytes, proof: bytes) -> Iterator[tuple[str, bytes]]:
    """Named attacks on one honest full proof."""
    n = key.public.modulus
    tag, quotient, residue, nonce = proof[:256], proof[256:512], proof[512:544], proof[544:]
    for what, number in (("0", 0), ("N", n), ("N + 1", n + 1), ("2^2048 - 1", 2**2048 - 1)):
        yield f"T = {what}", element(number) + proof[256:]
        yield f"T and Q = {what}", 2 * element(number) + proof[512:]
        yield f"Q = {what}", tag + element(number) + proof[512:]
    for length in (0, 545, 547, 802):
        yield f"{length} bytes in full mode", (proof + bytes(300))[:length]
    negative = element(n - int.from_bytes(tag, "big"))
    yield "-T", negative + proof[256:]
    yield "-Q", tag + element(n - int.from_bytes(quotient, "big")) + proof[512:]
    number = int.from_bytes(residue, "big")
    yield "r + 1", tag + quotient + (number + 1).to_bytes(32, "big") + nonce
    yield "r = 2^256 - 1", tag + quotient + b"\xff" * 32 + nonce
    yield "another nonce", proof[:544] + ((int.from_bytes(nonce, "big") + 1) % 65536).to_bytes(2, "big")
    yield "the last byte of Q changed", proof[:511] + bytes([proof[511] ^ 1]) + proof[512:]
    yield "the first byte of T changed", bytes([proof[0] ^ 1]) + proof[1:]


def residues(artifact: Artifact, challenge: Challenge, proof: bytes) -> Iterator[tuple[str, bytes]]:
    """The residue against its prime, and other primes of the transcript."""
    key = artifact.key.public
    product = element(int(product_of(key, [challenge])))
    nonce = int.from_bytes(proof[544:], "big")
    prime = transcript_prime(challenge.sigma, proof[:256], product, nonce)
    yield "r = l", proof[:512] + int(prime).to_bytes(32, "big") + proof[544:]
    yield "r = l - 1", proof[:512] + int(prime - 1).to_bytes(32, "big") + proof[544:]
    other = nonce + 1
    while not gmpy2.is_prime(transcript_prime(challenge.sigma, proof[:256], product, other)):
        other += 1
    yield "a later prime with a stale quotient", proof[:544] + other.to_bytes(2, "big")
    prime = transcript_prime(challenge.sigma, proof[:256], product, other)
    yield "a later prime with its own quotient", rebuild(artifact, challenge, prime, other)
    while gmpy2.is_prime(transcript_prime(challenge.sigma, proof[:256], product, other)):
        other += 1
    composite = transcript_prime(challenge.sigma, proof[:256], product, other)
    yield "a composite number with its own quotient", rebuild(artifact, challenge, composite, other)


def rebuild(artifact: Artifact, challenge: Challenge, prime: mpz, nonce: int) -> bytes:
    """An honest proof for a given prime of the transcript."""
    key = artifact.key.public
    whole = aggregate(BytesSource(artifact.data), artifact.tags, key, challenge)
    n = mpz(key.modulus)
    inverse = gmpy2.invert(key.generator, n)
    quotient = gmpy2.powmod(whole.tag, key.exponent // prime, n) * gmpy2.powmod(inverse, whole.total // prime, n) % n
    parts = (element(int(whole.tag)), element(int(quotient)), int(whole.total % prime).to_bytes(32, "big"))
    return b"".join(parts) + nonce.to_bytes(2, "big")


def from_nothing(artifact: Artifact, challenge: Challenge) -> bytes:
    """A claimed proof without any data: choose T and M, claim P = T^e · g^-M."""
    key = artifact.key.public
    n = mpz(key.modulus)
    tag, total = mpz(12345), mpz(67890)
    inverse = gmpy2.invert(key.generator, n)
    product = gmpy2.powmod(tag, key.exponent, n) * gmpy2.powmod(inverse, total, n) % n
    prime, nonce = find_prime(challenge.sigma, tag, product)
    quotient = gmpy2.powmod(tag, key.exponent // prime, n) * gmpy2.powmod(inverse, total // prime, n) % n
    parts = (
        element(int(tag)),
        element(int(quotient)),
        int(total % prime).to_bytes(32, "big"),
        nonce.to_bytes(2, "big"),
    )
    return b"".join(parts) + element(int(product))


def negated(artifact: Artifact, challenge: Challenge) -> bytes:
    """A claimed proof for -T and -P: e is odd, so it fits; the product is wrong all the same."""
    key = artifact.key.public
    n = mpz(key.modulus)
    whole = aggregate(BytesSource(artifact.data), artifact.tags, key, challenge)
    tag, product = n - whole.tag, n - whole.product
    prime, nonce = find_prime(challenge.sigma, tag, product)
    inverse = gmpy2.invert(key.generator, n)
    quotient = gmpy2.powmod(tag, key.exponent // prime, n) * gmpy2.powmod(inverse, whole.total // prime, n) % n
    parts = (element(int(tag)), element(int(quotient)), int(whole.total % prime).to_bytes(32, "big"))
    return b"".join(parts) + nonce.to_bytes(2, "big") + element(int(product))


def trapdoor(artifact: Artifact, challenge: Challenge) -> bytes:
    """A proof by the tagger, who needs no data: T = P^d."""
    key, public = artifact.key, artifact.key.public
    n = mpz(public.modulus)
    product = product_of(public, [challenge])
    tag = gmpy2.powmod(product, key.inverse_exponent(key.order), n)
    prime, nonce = find_prime(challenge.sigma, tag, product)
    quotient = gmpy2.powmod(tag, public.exponent // prime, n)
    return b"".join((element(int(tag)), element(int(quotient)), bytes(32), nonce.to_bytes(2, "big")))


def cases() -> Iterator[dict[str, Any]]:
    """All of them."""
    small, other = known_key(0), known_key(1)
    for name, data, size in (
        ("one block", b"abc", 100),
        ("all zero", bytes(5000), 100),
        ("n = c", content("n = c", 8 * 4096), 8),
        ("n = c + 1", content("n = c + 1", 9 * 4096), 8),
        ("an exact multiple of the block", content("exact", 3 * 4096), 100),
        ("one byte less", content("exact", 3 * 4096 - 1), 100),
        ("one byte more", content("exact", 3 * 4096 + 1), 100),
        ("sampled", content("sampled", 50 * 4096), 30),
    ):
        artifact = Artifact.of(data, small)
        challenge = artifact.challenge(size=size)
        yield case(name, small, [challenge], challenge.sigma, artifact.claimed(challenge)[:546])
    for bits, block in ((132_049, 16_384), (756_839, 65_536)):
        key = known_key(0, bits)
        artifact = Artifact.of(content(f"class {block}", 2 * block + 77), key)
        challenge = artifact.challenge()
        yield case(f"blocks of {block} bytes", key, [challenge], challenge.sigma, artifact.claimed(challenge)[:546])

    artifact = Artifact.of(content("attacked", 3 * 4096 - 100), small)
    challenge = artifact.challenge()
    claimed = artifact.claimed(challenge)
    proof = claimed[:546]
    yield case("honest", small, [challenge], challenge.sigma, proof)
    for name, bad in (*altered(small, challenge.sigma, proof), *residues(artifact, challenge, proof)):
        yield case(name, small, [challenge], challenge.sigma, bad)
    yield case(
        "made by the tagger without the data", small, [challenge], challenge.sigma, trapdoor(artifact, challenge)
    )
    for name, wrong in (
        ("of another slot", artifact.challenge(slot=8)),
        ("of another holder", artifact.challenge(holder=CONTRACT)),
        ("of another c", artifact.challenge(size=99)),
        ("of another version", Artifact.of(artifact.data, small, version=2).challenge()),
        ("of another twin", Artifact.of(artifact.data, small, twin=2).challenge()),
        ("of another manifest", Artifact.of(artifact.data, small, manifest=bytes(32)).challenge()),
        ("of another chain", Artifact.of(artifact.data, small, chain_id=1).challenge()),
        ("of another contract", Artifact.of(artifact.data, small, contract=HOLDER).challenge()),
    ):
        yield case(f"{name}: the challenge is another", small, [wrong], wrong.sigma, proof)
    yield case("under another key", other, [challenge], challenge.sigma, proof)

    n = small.public.modulus
    yield case("claimed, honest", small, [challenge], challenge.sigma, claimed)
    yield case(
        "claimed from nothing: consistent, and false",
        small,
        [challenge],
        challenge.sigma,
        from_nothing(artifact, challenge),
    )
    for what, number in (("0", 0), ("N", n), ("N + 1", n + 1), ("2^2048 - 1", 2**2048 - 1)):
        yield case(f"claimed P = {what}", small, [challenge], challenge.sigma, proof + element(number))
    yield case(
        "claimed -P", small, [challenge], challenge.sigma, proof + element(n - int.from_bytes(claimed[546:], "big"))
    )
    opposite = element(n - int.from_bytes(claimed[:256], "big"))
    yield case(
        "claimed -T and -P, the rest as it was", small, [challenge], challenge.sigma, negated(artifact, challenge)
    )
    yield case("claimed -T", small, [challenge], challenge.sigma, opposite + claimed[256:])
    yield case("claimed with 546 bytes", small, [challenge], challenge.sigma, proof)
    yield case("claimed with 801 bytes", small, [challenge], challenge.sigma, claimed[:801])

    parts = [Artifact.of(content(f"twin {twin}", 2 * 4096 + twin), small, twin=twin) for twin in (1, 2, 3)]
    asked = [part.challenge() for part in parts]
    transcript = batch_transcript(asked)
    made = [aggregate(BytesSource(p.data), p.tags, small.public, c) for p, c in zip(parts, asked, strict=True)]
    batch = prove_together(made, small.public, transcript)
    yield case("a batch of three", small, asked, transcript, batch[:546])
    yield case("a batch of three, claimed", small, asked, transcript, batch)
    yield case("a batch in another order", small, asked[::-1], batch_transcript(asked[::-1]), batch[:546])
    yield case("a batch of which one is missing", small, asked[:2], batch_transcript(asked[:2]), batch[:546])
    yield case("a batch under the transcript of its first", small, asked, asked[0].sigma, batch[:546])


if __name__ == "__main__":
    FILE.write_text(json.dumps(list(cases()), indent=1) + "\n", encoding="utf-8")
