// The verifier against the vectors that Python made (tests/vectors/make_pdp.py), which pytest reads as well: the same
// proofs are accepted, and the same are refused under the same names.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, it } from "node:test";
import { keccak256 } from "viem";
import { refuses, viem } from "./support/consortium.js";

const vectors = JSON.parse(readFileSync(new URL("../vectors/pdp.json", import.meta.url), "utf8"));
const hex = (text) => `0x${text}`;
const keyOf = (v) => ({ modulus: hex(v.modulus), generator: hex(v.generator), exponentBits: v.exponentBits });
const askedOf = (v) => v.challenges.map((c) => ({ ...c, tau: hex(c.tau), sigma: hex(c.sigma) }));

describe("PDPVerifier", () => {
  let verifier;
  before(async () => {
    verifier = await viem.deployContract("PDPVerifier");
  });

  for (const v of vectors) {
    const outcome = v.expected === "ok" ? "is accepted" : `is refused with ${v.expected}`;
    it(`${v.name}: ${outcome}`, async () => {
      const call = v.claimed
        ? verifier.read.verifyClaimed([keyOf(v), hex(v.transcript), hex(v.proof)])
        : verifier.read.verify([keyOf(v), askedOf(v), hex(v.transcript), hex(v.proof)]);
      if (v.expected === "ok") {
        const hash = await call;
        if (v.claimed) assert.equal(hash, keccak256(hex(v.proof.slice(2 * 546))));
      } else if (v.expected === "PDPLength") {
        await viem.assertions.revertWithCustomError(call, verifier, v.expected);
      } else {
        await refuses(call, verifier, v.expected, []);
      }
    });

    it(`${v.name}: the product is Python's`, async () => {
      assert.equal(await verifier.read.productOf([keyOf(v), askedOf(v)]), hex(v.product));
    });
  }

  it("derives key and generator as Python does", async () => {
    for (const v of vectors) {
      const [keyId, generator] = await verifier.read.deriveKey([hex(v.modulus), v.exponentBits]);
      assert.deepEqual([keyId, generator], [v.keyId, hex(v.generator)]);
    }
  });

  it("has three classes of blocks, and no other", async () => {
    const sizes = await Promise.all([44_497, 132_049, 756_839, 65_537, 0].map((x) => verifier.read.blockBytes([x])));
    assert.deepEqual(sizes, [4096, 16384, 65536, 0, 0]);
  });

  const [{ modulus }] = vectors;
  for (const [what, bad, bits] of [
    ["an exponent that isn't in the table", modulus, 65_537],
    ["an even modulus", `${modulus.slice(0, -1)}0`, 44_497],
    ["a modulus with a clear top bit", `7${modulus.slice(1)}`, 44_497],
    ["a modulus of 255 bytes", modulus.slice(2), 44_497],
    ["a modulus of 257 bytes", `00${modulus}`, 44_497],
  ]) {
    it(`refuses ${what}`, () => refuses(verifier.read.deriveKey([hex(bad), bits]), verifier, "PDPBadKey", []));
  }
});
