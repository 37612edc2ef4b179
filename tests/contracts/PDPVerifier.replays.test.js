// Honest proofs where they don't belong: replays, batches, and questions that nobody may ask.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { keccak256 } from "viem";
import {
  Artifact, BLOCK_BYTES, HOLDER, Key, content, copyOf, element, exponentiation, prove, transcriptOf, word,
} from "./support/pdp.js";
import {
  DATA, artifact, challenge, deployed, key, productOnChain, refused, refusedAsAnother, verify, verifyClaimed,
} from "./support/verifier.js";

describe("PDPVerifier: a proof of something else", () => {
  deployed();
  const { proof, claimed } = prove([artifact]);
  const elsewhere = {
    "another twin": { twin: word(9n) },
    "another version": { version: 2n },
    "another manifest": { manifest: word(9n) },
    "another chain": { chainId: 1n },
    "another audit contract": { contract: HOLDER },
  };
  for (const [what, change] of Object.entries(elsewhere)) {
    it(`refuses it for ${what}`, async () => {
      const asked = new Artifact(DATA, { key, ...change }).challenge();
      await refusedAsAnother(verify(proof, [asked]));
      await refusedAsAnother(verifyClaimed(claimed, { transcript: asked.sigma }));
    });
  }
  for (const [what, change] of Object.entries({
    "another slot": { slot: 8 },
    "another holder": { holder: "0x0000000000000000000000000000000000000002" },
    "another c": { size: 99 },
  })) {
    it(`refuses it for ${what}`, () => refusedAsAnother(verify(proof, [artifact.challenge(change)])));
  }

  it("refuses it under another key, of another modulus or of another class", async () => {
    await refusedAsAnother(verify(proof, [challenge], { by: Key.known(1).public }));
    await refusedAsAnother(verify(proof, [challenge], { by: Key.known(0, 132_049).public }));
    const mixed = { ...key.public, generator: Key.known(0, 132_049).public.generator };
    await refused(verify(proof, [challenge], { by: mixed }), "PDPEquation");
  });
});

describe("PDPVerifier: batches", () => {
  deployed();
  const tagged = (i, by = key) =>
    new Artifact(content(`twin ${i}`, BLOCK_BYTES + 1), { key: by, twin: word(BigInt(i)) });
  const twins = Array.from({ length: 10 }, (_, i) => tagged(i));
  const asked = twins.map((twin) => twin.challenge());

  it("accepts ten twins at once, in full and as a claim", async () => {
    const made = prove(twins);
    await verify(made.proof, asked);
    const hash = await verifyClaimed(made.claimed, { transcript: transcriptOf(asked) });
    assert.equal(hash, keccak256(await productOnChain(asked)));
  });

  it("refuses all ten for one whose byte is wrong", async () => {
    const bad = copyOf(twins[6]);
    bad.tag(1);
    bad.values[1] ^= 1n << 32_760n;
    await refused(verify(prove(twins.with(6, bad), asked).proof, asked), "PDPEquation");
  });

  it("refuses errors that would cancel if two twins had the same coefficients", async () => {
    const [plus, minus] = [copyOf(twins[0]), copyOf(twins[1])];
    for (const holder of [plus, minus]) holder.tag(0);
    plus.values[0] += 777n;
    minus.values[0] -= 777n;
    const own = asked.slice(0, 2);
    await refused(verify(prove([plus, minus], own).proof, own), "PDPEquation");
    // With one sigma for both they do cancel: that is why each has its own.
    const same = own.map((c) => ({ ...c, sigma: own[0].sigma }));
    await verify(prove([plus, minus], same).proof, same);
  });

  it("refuses another order, a twin twice, one left out, one too many", async () => {
    const three = asked.slice(0, 3);
    const { proof } = prove(twins.slice(0, 3), three);
    const [a, b, c] = three;
    for (const list of [[b, a, c], [a, b, b], [a, b], [a], [a, b, c, asked[3]], [a, b, asked[3]]]) {
      await refusedAsAnother(verify(proof, list));
    }
  });

  it("refuses a twin that was tagged under another key", async () => {
    const stranger = tagged(1, Key.known(1));
    for (const i of [0, 1]) stranger.tag(i);
    const list = [asked[0], stranger.challenge()];
    await refused(verify(prove([twins[0], stranger], list).proof, list), "PDPEquation");
  });

  it("refuses the transcript of one of its twins", async () => {
    const { proof } = prove(twins.slice(0, 2));
    const two = asked.slice(0, 2);
    for (const { sigma } of two) await refusedAsAnother(verify(proof, two, { transcript: sigma }));
  });
});

describe("PDPVerifier: wrong questions", () => {
  deployed();
  const { proof, claimed } = prove([artifact]);

  it("refuses keys that nobody could register", async () => {
    const { modulus, generator } = key.public;
    for (const bad of [
      { exponentBits: 0 }, { exponentBits: 1 }, { exponentBits: 65_537 }, { exponentBits: 44_498 },
      { modulus: element(key.n - 1n) }, { modulus: element(key.n - 2n ** 2047n) }, { modulus: "0x" },
      { modulus: `${modulus}00` }, { modulus: modulus.slice(0, -2) }, { generator: generator.slice(0, -2) },
      { generator: `${generator}00` },
    ]) {
      const by = { ...key.public, ...bad };
      await refused(verify(proof, [challenge], { by }), "PDPBadKey");
      await refused(verifyClaimed(claimed, { by }), "PDPBadKey");
      await refused(productOnChain([challenge], by), "PDPBadKey");
    }
  });

  it("has no product where nothing is asked: nothing would be proven", async () => {
    const nothing = exponentiation(key, challenge.sigma, { tag: 1n, product: 1n, total: 0n });
    const [empty, none] = [{ ...challenge, blocks: 0 }, { ...challenge, size: 0 }];
    for (const list of [[], [empty], [none], [challenge, empty], [none, challenge]]) {
      await refused(verify(nothing.proof, list, { transcript: challenge.sigma }), "PDPRange");
      await refused(productOnChain(list), "PDPRange");
    }
  });
});
