// The verifier's insides against BigInt: numbers of 2048 bits, whose errors of carry or of aliasing a whole proof shows
// once in 2^32 times, and the hashes and primes that proofs rest on.
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { concat } from "viem";
import { viem } from "./support/consortium.js";
import { Key, element, fullDomainHash, inverse, isPrime, modPow, numbers, word } from "./support/pdp.js";

const ONE = 1n;
const WORD = (ONE << 256n) - ONE;
const power2 = (bits) => ONE << BigInt(bits);
/** Odd, of 2048 bits: of a key, and where carries run through all words or borrows do. */
const MODULI = {
  "a key's": Key.known().n,
  "2^2048 - 1": power2(2048) - ONE,
  "2^2047 + 1": power2(2047) + ONE,
  "3^1292": 3n ** 1292n,
  "full words between empty ones": [...Array(8).keys()].reduce((x, i) => (x << 256n) | (i % 2 ? 1n : WORD), 0n),
};
/** Below N: small, large, around its half and around the words' borders. */
const operands = (n) => {
  const some = [0n, 1n, 2n, n - 1n, n - 2n, (n - 1n) / 2n, (n + 1n) / 2n, power2(2047), power2(2047) - 1n, WORD];
  some.push(power2(256), power2(1792), power2(1792) - 1n, (WORD << 512n) | WORD, n >> 256n, n - power2(1024));
  return [...new Set(some)].filter((x) => x < n);
};
const Alias = { None: 0, OutputIsX: 1, OutputIsY: 2, YIsX: 3, All: 4 };

describe("the arithmetic of PDPVerifier", () => {
  let inside;
  before(async () => {
    inside = await viem.deployContract("PDPHarness");
  });

  const multiplies = async (n, x, y, alias) => {
    const same = alias === Alias.YIsX || alias === Alias.All;
    const expected = element((4n * x * (same ? x : y)) % n);
    const found = await inside.read.mul4([element(n), element(x), element(y), alias]);
    const [result, xAfter, yAfter, modulusAfter] = found;
    const what = `4·${x}·${y} mod ${n}, alias ${alias}`;
    assert.equal(result, expected, what);
    assert.equal(modulusAfter, element(n), what);
    // What isn't written over is as it was.
    assert.equal(xAfter, alias === Alias.OutputIsX || alias === Alias.All ? expected : element(x), what);
    if (same) assert.equal(yAfter, xAfter, what);
    else assert.equal(yAfter, alias === Alias.OutputIsY ? expected : element(y), what);
  };

  for (const [name, n] of Object.entries(MODULI)) {
    it(`multiplies every pair of extreme operands modulo ${name}`, async () => {
      for (const x of operands(n)) for (const y of operands(n)) await multiplies(n, x, y, Alias.None);
    });

    it(`multiplies modulo ${name} whichever of its three places are the same`, async () => {
      const all = operands(n);
      for (const [i, x] of all.entries()) {
        for (const alias of Object.values(Alias)) await multiplies(n, x, all[(5 * i + 3) % all.length], alias);
      }
    });

    it(`halves modulo ${name}`, async () => {
      assert.equal(await inside.read.half([element(n)]), element((n + 1n) / 2n));
    });

    it(`takes only what is above 0 and below ${name} for an element`, async () => {
      const inRange = (x) => inside.read.inRange([element(n), element(x)]);
      for (const x of operands(n)) assert.equal(await inRange(x), x > 0n, `${x}`);
      const above = [n, n + 1n, n + power2(1792), n | (WORD << 256n), power2(2048) - 1n];
      for (const x of above.filter((x) => x >= n && x < power2(2048))) assert.equal(await inRange(x), false, `${x}`);
    });
  }

  it("multiplies 300 pairs of random numbers", async () => {
    const random = numbers("pairs", 2048);
    const moduli = Object.values(MODULI);
    for (let i = 0; i < 300; i++) {
      const n = moduli[i % moduli.length];
      await multiplies(n, random.next().value % n, random.next().value % n, Math.floor(i / moduli.length) % 5);
    }
  });

  it("multiplies neighbours, whose difference is of one word or of none", async () => {
    const random = numbers("neighbours", 2047);
    for (const n of Object.values(MODULI)) {
      const x = random.next().value;
      for (const bits of [0, 255, 256, 1023, 1792]) {
        await multiplies(n, x, (x + power2(bits)) % n, Alias.OutputIsX);
        await multiplies(n, (x + power2(bits)) % n, x, Alias.OutputIsY);
      }
    }
  });

  it("folds many factors in one field: nothing is left over from one to the next", async () => {
    const n = Key.known().n;
    const random = numbers("factors", 2047);
    const factors = [n - 1n, 1n, n - 1n, ...Array.from({ length: 20 }, () => random.next().value)];
    const expected = factors.reduce((product, factor) => (4n * product * factor) % n);
    assert.equal(await inside.read.fold([element(n), concat(factors.map(element))]), element(expected));
  });

  it("raises extreme and random numbers to exponents of up to a word, in place too", async () => {
    const random = numbers("bases", 2047);
    for (const n of Object.values(MODULI)) {
      for (const base of [0n, 1n, 2n, n - 1n, power2(2047) - 1n, random.next().value]) {
        for (const exponent of [0n, 1n, 2n, 3n, power2(32) - 1n, power2(255), WORD]) {
          const found = await inside.read.power([element(n), element(base), exponent, exponent % 2n === 1n]);
          assert.equal(found, element(modPow(base, exponent, n)), `${base}^${exponent} mod ${n}`);
        }
      }
    }
  });

  it("undoes the factor 4 with powers of the half", async () => {
    for (const n of Object.values(MODULI)) {
      const half = BigInt(await inside.read.half([element(n)]));
      assert.equal(half, inverse(2n, n));
      const quarter = BigInt(await inside.read.power([element(n), element(half), 2n, true]));
      assert.equal((4n * quarter) % n, 1n);
    }
  });

  it("raises words modulo a word", async () => {
    for (const modulus of [3n, 1n << 255n, WORD, 2n ** 255n - 19n]) {
      for (const base of [0n, 1n, 2n, modulus - 1n, WORD]) {
        for (const exponent of [0n, 1n, 44_497n, 756_839n, WORD]) {
          assert.equal(await inside.read.wordPower([base, exponent, modulus]), modPow(base, exponent, modulus));
        }
      }
    }
  });

  it("hashes onto the full domain as the protocol's known answer has it", async () => {
    const known = await inside.read.fullDomainHash([word(0n), 1n]);
    assert.equal(known.slice(2, 18), "1c215b54eec9ee6a");
    assert.equal(known.slice(-16), "d5d7a6908ee8598c");
  });

  it("hashes onto the full domain below 2^2047, for any seed and index", async () => {
    const random = numbers("seeds", 256);
    for (const index of [0, 1, 255, 256, 2 ** 31, 2 ** 32 - 1]) {
      for (const seed of [word(0n), word(WORD), word(random.next().value)]) {
        const found = await inside.read.fullDomainHash([seed, BigInt(index)]);
        assert.equal(found, element(fullDomainHash(seed, index)));
        assert.ok(BigInt(found) < power2(2047));
      }
    }
  });

  it("knows primes, also those of which p - 1 has many factors 2", async () => {
    const primes = [5n, 7n, 257n, 65_537n, 2n ** 255n - 19n, 2n ** 256n - 189n, 2n ** 127n - 1n, 2n ** 89n - 1n];
    primes.push(2n ** 256n - 2n ** 32n - 977n, ...[36n, 41n, 66n, 189n, 201n, 209n].map((k) => 3n * 2n ** k + 1n));
    for (const prime of primes) assert.equal(await inside.read.isPrime([prime]), true, `${prime}`);
  });

  it("isn't deceived by numbers that deceive weaker tests", async () => {
    // Carmichael's numbers pass Fermat's test; the others pass Miller-Rabin's to the first 4, 9, 12 and 13 primes.
    const deceivers = [561n, 1105n, 1729n, 294_409n, 56_052_361n, 118_901_521n];
    deceivers.push(3_215_031_751n, 3_825_123_056_546_413_051n, 318_665_857_834_031_151_167_461n);
    deceivers.push(3_317_044_064_679_887_385_961_981n);
    // Squares, products of neighbours, of p and 2p - 1, a Fermat and a Mersenne number.
    const [p, q] = [2n ** 127n - 1n, 2n ** 128n - 159n];
    deceivers.push(9n, 25n, p * p, p * q, 2n ** 128n + 1n, 2n ** 251n - 1n, 49_939n * 99_877n);
    for (const composite of deceivers) assert.equal(await inside.read.isPrime([composite]), false, `${composite}`);
  });

  it("judges 300 hashes as another test of primes does", async () => {
    const random = numbers("candidates", 256);
    let primes = 0;
    for (let i = 0; i < 300; i++) {
      const candidate = random.next().value | 1n | (1n << 255n);
      const expected = isPrime(candidate);
      primes += expected;
      assert.equal(await inside.read.isPrime([candidate]), expected, `${candidate}`);
    }
    assert.ok(primes > 0 && primes < 20, `${primes} primes of 300`);
  });

  it("returns the right power or nothing, however little gas a precompile is left", async () => {
    const n = Key.known().n;
    const args = [element(n), element(n - 2n), WORD, false];
    const expected = element(modPow(n - 2n, WORD, n));
    const outcomes = new Set();
    for (let gas = 40_000n; gas < 160_000n; gas += 1_500n) {
      const found = await inside.read.power(args, { gas }).catch(() => "nothing");
      assert.ok([expected, "nothing"].includes(found), `${gas} gas: ${found}`);
      outcomes.add(found);
    }
    assert.equal(outcomes.size, 2);
  });
});
