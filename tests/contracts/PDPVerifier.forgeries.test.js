// Proofs made with less than the data, or of changed numbers: each attack as somebody would make it, beside those that
// tests/vectors/pdp.json holds.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { keccak256 } from "viem";
import {
  Artifact, BLOCK_BYTES, Key, aggregate, assemble, bezout, candidate, content, copyOf, draws, element,
  exponentiation, findNonce, fullDomainHash, mod, modPow, productOf, prove, word,
} from "./support/pdp.js";
import {
  DATA, answer, artifact, challenge, deployed, derive, key, productOnChain, refused, refusedAsAnother, verify,
  verifyClaimed,
} from "./support/verifier.js";

const negative = (x) => key.n - x;

describe("PDPVerifier: less than the data", () => {
  deployed();

  it("accepts the honest proof of a second prover", async () => {
    await verify(prove([artifact]).proof);
    assert.equal(await verifyClaimed(prove([artifact]).claimed), keccak256(element(productOf(key, [challenge]))));
  });

  it("refuses an exponent below a block, where blocks modulo it would do (A1)", async () => {
    const weak = Key.known(0, 17); // e = 131071, a prime
    const holder = new Artifact(DATA, { key: weak });
    for (const [i, m] of holder.values.entries()) {
      holder.tags.set(i, (holder.tag(i) * weak.power(weak.g, -(m / weak.e))) % weak.n);
      holder.values[i] = m % weak.e; // 17 bits of 4 KiB
    }
    const asked = holder.challenge();
    const { tag, total, product } = aggregate([holder], [asked]);
    assert.equal(weak.power(tag, weak.e), (product * weak.power(weak.g, total)) % weak.n, "the attack is rebuilt");
    await refused(verify(answer(holder, asked), [asked], { by: weak.public }), "PDPBadKey");
    await refused(derive(weak.public.modulus, 17), "PDPBadKey");
  });

  it("accepts blocks shifted by multiples of e with tags to match: whoever has them has every byte", async () => {
    const holder = copyOf(artifact);
    for (const i of holder.values.keys()) {
      holder.tags.set(i, (holder.tag(i) * key.power(key.g, BigInt(i + 1))) % key.n);
      holder.values[i] += BigInt(i + 1) * key.e;
    }
    await verify(answer(holder));
  });

  it("refuses zeros in both elements, which fit every product (A2)", async () => {
    for (const zero of [0n, key.n]) {
      const { proof, claimed } = assemble({ ...prove([artifact]), tag: zero, quotient: zero });
      await refused(verify(proof), "PDPRange");
      await refused(verifyClaimed(claimed), "PDPRange");
    }
  });

  it("refuses a tag made of two others by Bézout's identity (A3)", async () => {
    const m = artifact.values;
    const h = m.map((_, i) => fullDomainHash(artifact.tau, i));
    const fits = ([i, j, k]) => i < j && k !== i && k !== j && h[k] % bezout(h[i], h[j])[0] === 0n;
    const [i, j, k] = h.flatMap((_, n) => h.flatMap((_, o) => h.map((_, p) => [n, o, p]))).find(fits);
    const [divisor, u, v] = bezout(h[i], h[j]);
    const [a, b] = [u, v].map((x) => (x * h[k]) / divisor);
    const value = mod(a * m[i] + b * m[j], key.order);
    // With h_i = g^H(i) it is the tag of block k.
    const weak = (x) => key.power(key.g, (h[x] + m[x]) * key.d);
    const made = (key.power(weak(i), a) * key.power(weak(j), b)) % key.n;
    assert.equal(key.power(made, key.e), key.power(key.g, h[k] + value), "the attack is rebuilt");
    const holder = copyOf(artifact);
    holder.tags.set(k, (key.power(artifact.tag(i), a) * key.power(artifact.tag(j), b)) % key.n);
    holder.values[k] = value;
    await refused(verify(answer(holder)), "PDPEquation");
  });

  it("refuses the tags of equal bytes of another twin (A4)", async () => {
    const twin = new Artifact(DATA, { key, twin: word(9n) });
    for (const i of twin.values.keys()) twin.tags.set(i, artifact.tag(i));
    await refused(verify(answer(twin, twin.challenge()), [twin.challenge()]), "PDPEquation");
  });

  it("refuses what two contents disclose, which under one domain is everything (A5)", async () => {
    const other = new Artifact(content("another content", DATA.length), { key });
    const root = (a, b) => {
      const [, u, v] = bezout(a.values[0] - b.values[0], key.e);
      const ratio = (a.tag(0) * key.power(b.tag(0), -1n)) % key.n;
      return (key.power(ratio, u) * key.power(key.g, v)) % key.n;
    };
    const forge = (from, generatorRoot) => {
      const holder = copyOf(from);
      holder.values = from.values.map((m) => m + 12345n);
      const shift = modPow(generatorRoot, 12345n, key.n);
      for (const i of from.values.keys()) holder.tags.set(i, (from.tag(i) * shift) % key.n);
      return holder;
    };
    await refused(verify(answer(forge(artifact, root(artifact, other)))), "PDPEquation");
    // The same with one domain for both: the root of g comes out, and any content can be tagged.
    const shared = Object.assign(copyOf(other), { tau: artifact.tau, tags: new Map() });
    assert.equal(key.power(root(artifact, shared), key.e), key.g);
    await verify(answer(forge(artifact, root(artifact, shared))));
  });

  it("refuses one changed bit in the first, a middle and the last block", async () => {
    for (const [block, bit] of [[0, 8 * BLOCK_BYTES - 1], [2, 12_345], [4, 800], [4, 0]]) {
      const holder = copyOf(artifact);
      holder.tag(block);
      holder.values[block] ^= 1n << BigInt(bit);
      await refused(verify(answer(holder)), "PDPEquation");
    }
  });

  it("refuses a byte more, a byte less, and what lacks its last block", async () => {
    const longer = Buffer.concat([DATA, Buffer.alloc(1)]);
    for (const data of [longer, DATA.subarray(0, -1), DATA.subarray(0, 4 * BLOCK_BYTES)]) {
      const changed = new Artifact(data, { key });
      // Under its own domain it is another artifact; with the tags of the registered one it lacks bytes.
      await refusedAsAnother(verify(answer(changed, changed.challenge())));
      const holder = copyOf(artifact);
      [0, 1, 2, 3, 4].forEach((i) => holder.tag(i) && (holder.values[i] = changed.values[i] ?? 0n));
      // Only the zeros behind the last byte are none of the data: how many they are is in the domain.
      if (data === longer) await verify(answer(holder));
      else await refused(verify(answer(holder)), "PDPEquation");
    }
  });

  it("refuses two blocks that changed places with their tags", async () => {
    const holder = copyOf(artifact);
    const tags = [artifact.tag(1), artifact.tag(3)];
    [holder.values[1], holder.values[3]] = [holder.values[3], holder.values[1]];
    holder.tags.set(3, tags[0]).set(1, tags[1]);
    await refused(verify(answer(holder)), "PDPEquation");
  });

  it("refuses the blocks and tags of an old version, and blocks added or removed since", async () => {
    const old = new Artifact(content("old version", DATA.length), { key, version: 0n });
    await refused(verify(answer(old)), "PDPEquation");
    for (const blocks of [4, 6]) {
      const other = new Artifact(content("attacked", blocks * BLOCK_BYTES), { key });
      await refusedAsAnother(verify(answer(other, other.challenge())));
    }
  });

  it("accepts a proof from nothing as a claim, whose product is another", async () => {
    const [tag, total] = [12_345n, 67_890n];
    const product = (key.power(tag, key.e) * key.power(key.g, -total)) % key.n;
    const { proof, claimed } = exponentiation(key, challenge.sigma, { tag, total, product });
    assert.notEqual(await verifyClaimed(claimed), keccak256(await productOnChain()));
    await refusedAsAnother(verify(proof));
  });
});

describe("PDPVerifier: changed numbers", () => {
  deployed();
  const honest = prove([artifact]);

  it("refuses T, Q and P that are no elements", async () => {
    for (const part of ["tag", "quotient", "product"]) {
      for (const value of [0n, key.n, key.n + 1n, 2n ** 2048n - 1n]) {
        const { proof, claimed } = assemble({ ...honest, [part]: value });
        await refused(verifyClaimed(claimed), "PDPRange");
        if (part !== "product") await refused(verify(proof), "PDPRange");
      }
    }
  });

  it("refuses a length before anything else, and names both", async () => {
    const nothing = `0x${"00".repeat(802)}`;
    for (const length of [0, 545, 547, 802]) {
      const call = verify(nothing.slice(0, 2 + 2 * length));
      await refused(call, "PDPLength", [546n, BigInt(length)]);
    }
    for (const length of [0, 546, 801]) {
      await refused(verifyClaimed(nothing.slice(0, 2 + 2 * length)), "PDPLength", [802n, BigInt(length)]);
    }
  });

  it("refuses a computed product of 0, modulo a power of 3, as it refuses a claimed one", async () => {
    const modulus = element(3n ** 1292n);
    const [, generator] = await derive(modulus, key.exponentBits);
    const asked = { tau: word(0n), sigma: word(77n), blocks: 8, size: 100 }; // 3 divides one of the hashes
    const bad = { modulus, generator, exponentBits: key.exponentBits };
    assert.equal(await productOnChain([asked], bad), element(0n));
    const nonce = findNonce(asked.sigma, 3n, 0n);
    const { proof } = assemble({ tag: 3n, quotient: 3n, residue: 5n, nonce, product: 0n });
    await refused(verify(proof, [asked], { by: bad }), "PDPRange");
  });

  it("refuses residues at and around the prime", async () => {
    const { prime, residue } = honest;
    for (const [value, error] of [
      [prime, "PDPResidue"], [prime + 1n, "PDPResidue"], [2n ** 256n - 1n, "PDPResidue"], [prime - 1n, "PDPEquation"],
      [residue + 1n, "PDPEquation"], [residue - 1n, "PDPEquation"], [0n, "PDPEquation"],
    ]) {
      await refused(verify(assemble({ ...honest, residue: value }).proof), error);
    }
  });

  it("refuses a composite number of the transcript, with the quotient that fits it", async () => {
    const whole = aggregate([artifact], [challenge]);
    const nonce = findNonce(challenge.sigma, whole.tag, whole.product, { wanted: false });
    await refused(verify(exponentiation(key, challenge.sigma, whole, nonce).proof), "PDPNotPrime");
  });

  it("accepts any prime of the transcript with its own quotient, and none with another's", async () => {
    const whole = aggregate([artifact], [challenge]);
    const nonce = findNonce(challenge.sigma, whole.tag, whole.product, { from: honest.nonce + 1 });
    const later = exponentiation(key, challenge.sigma, whole, nonce);
    assert.notEqual(later.prime, honest.prime);
    assert.equal(later.prime, candidate(challenge.sigma, whole.tag, whole.product, nonce));
    await verify(later.proof);
    await refused(verify(assemble({ ...later, quotient: honest.quotient }).proof), "PDPEquation");
  });

  it("refuses one of the elements with its sign changed", async () => {
    await refused(verify(assemble({ ...honest, quotient: negative(honest.quotient) }).proof), "PDPEquation");
    await refusedAsAnother(verify(assemble({ ...honest, tag: negative(honest.tag) }).proof));
    await refusedAsAnother(verifyClaimed(assemble({ ...honest, product: negative(honest.product) }).claimed));
    const { product, total } = aggregate([artifact], [challenge]);
    const made = exponentiation(key, challenge.sigma, { tag: negative(honest.tag), product, total });
    await refused(verify(made.proof), "PDPEquation");
  });

  it("accepts -T with -P claimed, whose product is another: what a dispute strikes", async () => {
    const { tag, product, total } = aggregate([artifact], [challenge]);
    const made = exponentiation(key, challenge.sigma, { tag: negative(tag), product: negative(product), total });
    assert.notEqual(await verifyClaimed(made.claimed), keccak256(element(product)));
    await refusedAsAnother(verify(made.proof));
  });

  it("refuses a tag whose sign the tagger changed until the prover has repaired it", async () => {
    const holder = copyOf(artifact);
    const [odd] = draws(challenge).find(([, coefficient]) => coefficient & 1n);
    holder.tags.set(odd, negative(artifact.tag(odd)));
    const whole = aggregate([holder], [challenge]);
    await refused(verify(exponentiation(key, challenge.sigma, whole).proof), "PDPEquation");
    await verify(exponentiation(key, challenge.sigma, { ...whole, tag: negative(whole.tag) }).proof);
  });

  it("accepts what the tagger made without the data: d needs none", async () => {
    const product = productOf(key, [challenge]);
    await verify(exponentiation(key, challenge.sigma, { tag: key.power(product, key.d), product, total: 0n }).proof);
  });
});
