"""Provable data possession with RSA tags: pure mathematics, no chain, no network (docs/protocol-pdp.md).

A *tagger* makes a key and tags an artifact's blocks; a *holder* answers a challenge with 546 bytes, whatever the
artifact's size; anybody verifies them, here or on the chain (`contracts/lib/PDP.sol`: the same checks, in order).

Sources: Ateniese et al., "Provable data possession at untrusted stores", CCS 2007 (homomorphic tags, sampling);
Shacham and Waters, "Compact proofs of retrievability", ASIACRYPT 2008 (random coefficients); Boneh, Bünz and Fisch,
"Batching techniques for accumulators", CRYPTO 2019, and Wesolowski, EUROCRYPT 2019 (proof of exponentiation).

Example::

    key = PrivateKey.generate(exponent_bits=44_497)
    root = merkle_root(source, 4096)
    domain = TagDomain(chain_id, contract, twin, version, manifest, key.public.key_id, root, source.length, 4096)
    tags = make_tags(source, key, domain)
    challenge = Challenge.of(seed, domain.tau, holder, blocks=domain.blocks, size=100)
    proof = prove(source, tags, key.public, challenge)
    verify(key.public, [challenge], challenge.sigma, proof)   # or raises a PDPError
"""
