// The verifier against the vectors that Python made (tests/vectors/make_pdp.py), which pytest reads as well: the same
// proofs are accepted, and the same are refused under the same names. Then the protocol's known answers, and gas.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, it } from "node:test";
import { encodeFunctionData, keccak256 } from "viem";
import { accounts, gasOf, refuses, viem } from "./support/consortium.js";
import {
  CHAIN, HOLDER, Key, draws, element, exponentiation, fullDomainHash, modPow, productOf, tagged, word,
} from "./support/pdp.js";
import { errorOf } from "./support/verifier.js";

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

describe("PDPVerifier: the protocol's known answers", () => {
  const tau = "0xad54426ee820514f6a4e3c2cf8a69be78ffe165716fe9dc690a7ae4ef680e0c7";
  const sigma = "0x87826ef06e402e3638659fa43036298822a682ee09ba1ec3c4895f9dcce8b6e2";
  const seed = "0xaf3e97db6cd11a59fe0e07fc6be968e1a631c3c51a4150288a0a5e3df49be4c2";
  const root = "0x609f6e36d2405585188d5cfd761f407c7cc46a7d3f314c88270469dde315fcd1";
  const key = Key.known(0);
  let verifier;
  before(async () => {
    verifier = await viem.deployContract("PDPVerifier");
  });

  it("come out of the tests' own prover: domain of the tags, challenge, draws", () => {
    const bound = [CHAIN.chainId, BigInt(CHAIN.contract), 0n, 1n, 0n, 0n, root, 3n, 4096n];
    assert.equal(tagged("tag", ...bound), tau);
    assert.equal(tagged("challenge", seed, tau, BigInt(HOLDER), 100n), sigma);
    assert.deepEqual(draws({ sigma, blocks: 1, size: 100 }), [[0, 506_223_050n]]);
    assert.deepEqual(draws({ sigma, blocks: 1000, size: 2 }), [[820, 506_223_050n], [351, 3_393_017_262n]]);
  });

  it("come out of the contract: which block, and to which power", async () => {
    const factor = (index, coefficient) => modPow(fullDomainHash(tau, index), coefficient, key.n);
    const product = (blocks, size) => verifier.read.productOf([key.public, [{ tau, sigma, blocks, size }]]);
    assert.equal(await product(1, 100), element(factor(0, 506_223_050n)));
    assert.equal(await product(1000, 1), element(factor(820, 506_223_050n)));
    const both = (factor(820, 506_223_050n) * factor(351, 3_393_017_262n)) % key.n;
    assert.equal(await product(1000, 2), element(both));
  });

  it("asks for all blocks in their order up to c, and draws from there on, to the largest artifact", async () => {
    for (const [blocks, size] of [[1, 1], [2, 1], [7, 7], [8, 7], [7, 1024], [2 ** 32 - 1, 5], [2 ** 31, 3]]) {
      const asked = [{ tau: word(BigInt(blocks)), sigma: word(BigInt(size)), blocks, size }];
      assert.equal(await verifier.read.productOf([key.public, asked]), element(productOf(key, asked)));
    }
  });
});

describe("PDPVerifier: gas", () => {
  const key = Key.known(0);
  const spent = new Map(); // of whole transactions, by challenged blocks
  let verifier, wallet;
  before(async () => {
    verifier = await viem.deployContract("PDPVerifier");
    wallet = await viem.getWalletClient(accounts[0]);
  });

  /** A proof as the tagger makes it, without the data: of as many blocks as you like. */
  const proofOf = (blocks) => {
    const challenge = { tau: word(1n), sigma: word(2n), blocks, size: 1024 };
    const [product, total] = [productOf(key, [challenge]), BigInt(keccak256("0x"))];
    const tag = key.power(product * key.power(key.g, total), key.d);
    return { challenge, ...exponentiation(key, challenge.sigma, { tag, product, total }) };
  };
  const send = (functionName, args) => {
    const data = encodeFunctionData({ abi: verifier.abi, functionName, args });
    return wallet.sendTransaction({ to: verifier.address, data, gas: 12_000_000n });
  };

  for (const [blocks, bound] of [
    [1, 380_000],
    [8, 495_000],
    [16, 620_000],
    [30, 850_000],
    [100, 1_950_000],
    [460, 7_700_000],
  ]) {
    it(`verifies a proof of ${blocks} blocks for at most ${bound} gas`, async () => {
      const { challenge, proof } = proofOf(blocks);
      const gas = await gasOf(send("verify", [key.public, [challenge], challenge.sigma, proof]));
      spent.set(blocks, gas);
      assert.ok(gas <= bound, `${gas}`);
    });
  }

  it("costs at most 16,200 for each block, and 380,000 besides", () => {
    const slope = (spent.get(460) - spent.get(1)) / 459;
    const base = spent.get(1) - slope;
    assert.ok(slope <= 16_200, `${slope} per block`);
    assert.ok(base <= 380_000, `${base} besides`);
  });

  it("verifies a claim for at most 380,000, whatever its blocks, a fifth of what 100 blocks cost in full", async () => {
    const { challenge, claimed } = proofOf(100);
    const gas = await gasOf(send("verifyClaimed", [key.public, challenge.sigma, claimed]));
    assert.ok(gas <= 380_000, `${gas}`);
    assert.ok(gas <= 0.22 * spent.get(100), `${gas} of ${spent.get(100)}`);
  });

  it("never makes a verdict of too little gas: an honest proof is accepted, or nothing is said", async () => {
    const { challenge, proof } = proofOf(2);
    const args = [key.public, [challenge], challenge.sigma, proof];
    const outcomes = [];
    for (let gas = 60_000n; gas <= 480_000n; gas += 6_000n) {
      outcomes.push(await verifier.read.verify(args, { gas }).then(() => "accepted", errorOf));
    }
    assert.deepEqual(new Set(outcomes), new Set([undefined, "accepted"]));
    assert.ok(outcomes.lastIndexOf(undefined) < outcomes.indexOf("accepted"));
  });
});
