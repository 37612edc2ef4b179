// A second prover of possession beside Python's, for artifacts, errors and attacks that tests/vectors/pdp.json does not
// hold. It owns the tagger's key, and reduces exponents by the group's order: the same proofs, much faster.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { concat, keccak256, numberToHex, pad, toHex } from "viem";

/** x of the smallest class, and its bytes of a block. */
export const [EXPONENT_BITS, BLOCK_BYTES] = [44_497, 4096];
/** The chain, contract and holder of docs/protocol-pdp.md's known answers. */
export const CHAIN = { chainId: 31337n, contract: "0x5fbdb2315678afecb367f032d93f642f64180aa3" };
export const HOLDER = "0x0000000000000000000000000000000000000001";

/** A number, an address or a hash as 32 bytes. */
export const word = (x) => (typeof x === "string" ? pad(x, { size: 32 }) : numberToHex(x, { size: 32 }));
/** A number as 256 bytes. */
export const element = (x) => numberToHex(x, { size: 256 });
const domain = (name) => keccak256(toHex(`twin-pdp/v1/${name}`));
/** Elements are longer than a word already. */
const hash = (...words) => keccak256(concat(words.map((w) => (w.length > 66 ? w : word(w)))));
/** H(D_name || words). */
export const tagged = (name, ...words) => hash(domain(name), ...words);
const sha256 = (...parts) =>
  parts.reduce((hash, part) => hash.update(Buffer.from(part)), createHash("sha256")).digest();
/** Bytes that look random, and are the same every time. */
export const content = (name, length) => createHash("shake256", { outputLength: length }).update(name).digest();
/** A source of numbers of so many bits: the same for the same name. */
export function* numbers(name, bits) {
  for (let i = 0; ; i++) yield BigInt.asUintN(bits, BigInt(toHex(content(`${name} ${i}`, Math.ceil(bits / 8)))));
}

export function modPow(base, exponent, modulus) {
  let result = 1n % modulus;
  for (let b = base % modulus, e = exponent; e > 0n; e >>= 1n) {
    if (e & 1n) result = (result * b) % modulus;
    b = (b * b) % modulus;
  }
  return result;
}

export const mod = (x, n) => ((x % n) + n) % n;

/** (d, a, b) with d = gcd(x, y) = a x + b y. */
export function bezout(x, y) {
  let [[d, a, b], [e, f, g]] = [[x, 1n, 0n], [y, 0n, 1n]];
  while (e) {
    const q = d / e;
    [[d, a, b], [e, f, g]] = [[e, f, g], [d - q * e, a - q * f, b - q * g]];
  }
  return [d, a, b];
}
export const inverse = (x, n) => mod(bezout(mod(x, n), n)[1], n);

/** Whether it passes Fermat's and Miller-Rabin's tests to 16 small bases: for hash outputs that is sure enough. */
export function isPrime(n) {
  if (n < 2n || SMALL.some((p) => n % p === 0n)) return SMALL.includes(n);
  let [odd, twos] = [n - 1n, 0];
  for (; !(odd & 1n); odd >>= 1n) twos++;
  return SMALL.every((base) => {
    let x = modPow(base, odd, n);
    for (let i = 0; i < twos; i++, x = (x * x) % n) if (x === n - 1n || (i === 0 && x === 1n)) return true;
    return false;
  });
}
const SMALL = [2n, 3n, 5n, 7n, 11n, 13n, 17n, 19n, 23n, 29n, 31n, 37n, 41n, 43n, 47n, 53n];

/** Below 2^2047, as if drawn at random for (seed, index). */
export function fullDomainHash(seed, index) {
  const words = Array.from({ length: 8 }, (_, j) => hash(seed, 256n * BigInt(index) + BigInt(j)));
  return BigInt(concat(words)) & ((1n << 2047n) - 1n);
}

/** RFC 6962's tree hash of blocks. */
export function merkleRoot(blocks) {
  if (blocks.length === 1) return sha256([0], blocks[0]);
  let split = 1;
  while (2 * split < blocks.length) split *= 2;
  return sha256([1], merkleRoot(blocks.slice(0, split)), merkleRoot(blocks.slice(split)));
}

const PRIMES = readFileSync(new URL("../../vectors/safe_primes.txt", import.meta.url), "utf8")
  .split(/\s+/)
  .filter(Boolean)
  .map((line) => BigInt(`0x${line}`));

/** A tagger's key, with its secret. */
export class Key {
  constructor(p, q, exponentBits = EXPONENT_BITS) {
    Object.assign(this, { p, q, n: p * q, order: (p - 1n) * (q - 1n), fromQ: inverse(q, p) });
    this.exponentBits = exponentBits;
    this.e = (1n << BigInt(exponentBits)) - 1n;
    this.modulus = element(this.n);
    this.id = tagged("key", exponentBits, this.modulus);
    this.g = modPow(fullDomainHash(tagged("generator", this.id), 0), 2n, this.n);
  }

  /** One of those that everybody knows, made of tests/vectors/safe_primes.txt. */
  static known(index = 0, exponentBits = EXPONENT_BITS) {
    return new Key(PRIMES[2 * index], PRIMES[2 * index + 1], exponentBits);
  }

  /** As the contract takes it. */
  get public() {
    return { modulus: this.modulus, generator: element(this.g), exponentBits: this.exponentBits };
  }

  get d() {
    return (this.inverseExponent ??= inverse(this.e, this.order));
  }

  /** base^exponent, by its factors; negative exponents too. */
  power(base, exponent) {
    const [p, q] = [this.p, this.q].map((f) => modPow(base % f, mod(exponent, f - 1n), f));
    return q + this.q * mod((p - q) * this.fromQ, this.p);
  }
}

/** m of each block, from the bytes. */
export const blocksOf = (data, size = BLOCK_BYTES) =>
  Array.from({ length: Math.ceil(data.length / size) }, (_, i) => data.subarray(i * size, (i + 1) * size));
export const valueOf = (block, size = BLOCK_BYTES) => BigInt(toHex(Buffer.concat([block, Buffer.alloc(size - block.length)])));

/** Tagged bytes, which a holder has: all that it needs to prove. Tests change `values` and `tags` at will. */
export class Artifact {
  constructor(data, { key = Key.known(), twin = word(1n), version = 1n, manifest = word(2n), ...chain } = {}) {
    const { chainId, contract } = { ...CHAIN, ...chain };
    const blocks = blocksOf(data);
    this.key = key;
    const root = toHex(merkleRoot(blocks));
    const bound = [chainId, BigInt(contract), twin, version, manifest, key.id, root];
    this.tau = tagged("tag", ...bound, BigInt(data.length), BigInt(BLOCK_BYTES));
    this.values = blocks.map((block) => valueOf(block, BLOCK_BYTES));
    this.tags = new Map(); // made when they are first needed: few tests need all
  }

  get blocks() {
    return this.values.length;
  }

  tag(index) {
    if (!this.tags.has(index)) {
      const { key, tau, values } = this;
      this.tags.set(index, key.power(fullDomainHash(tau, index) * key.power(key.g, values[index]), key.d));
    }
    return this.tags.get(index);
  }

  /** What is asked in a slot. */
  challenge({ slot = 7, holder = HOLDER, size = 100 } = {}) {
    const seed = keccak256(toHex(`seed ${slot}`));
    const sigma = tagged("challenge", seed, this.tau, BigInt(holder), BigInt(size));
    return { tau: this.tau, sigma, blocks: this.blocks, size };
  }
}

/** (block, coefficient) of each draw. */
export function draws({ sigma, blocks, size }) {
  return Array.from({ length: Math.min(blocks, size) }, (_, j) => {
    const x = BigInt(hash(sigma, BigInt(j)));
    return [blocks <= size ? j : Number((x >> 128n) % BigInt(blocks)), BigInt.asUintN(32, x) || 1n];
  });
}

export function productOf(key, challenges) {
  let product = 1n;
  for (const challenge of challenges) {
    for (const [index, a] of draws(challenge)) {
      product = (product * modPow(fullDomainHash(challenge.tau, index), a, key.n)) % key.n;
    }
  }
  return product;
}

/** sigma's stand-in in a batch. */
export const transcriptOf = (challenges) =>
  challenges.length === 1 ? challenges[0].sigma : hash(domain("batch"), ...challenges.map(({ sigma }) => sigma));

export const candidate = (transcript, tag, product, nonce) =>
  BigInt(tagged("prime", transcript, element(tag), element(product), BigInt(nonce))) | 1n | (1n << 255n);

/** The first nonce from `from` on whose candidate is prime, or with `wanted` false the first whose is not. */
export function findNonce(transcript, tag, product, { from = 0, wanted = true } = {}) {
  for (let nonce = from; ; nonce++) if (isPrime(candidate(transcript, tag, product, nonce)) === wanted) return nonce;
}

/** T, P and M of a holder, over all its artifacts. */
export function aggregate(artifacts, challenges) {
  const [{ key }] = artifacts;
  const sum = { tag: 1n, total: 0n, product: productOf(key, challenges) };
  for (const [i, artifact] of artifacts.entries()) {
    for (const [index, a] of draws(challenges[i])) {
      sum.tag = (sum.tag * modPow(artifact.tag(index), a, key.n)) % key.n;
      sum.total += a * artifact.values[index];
    }
  }
  return sum;
}

/** A proof that T^e = P g^M, as a holder writes it who knows T and M; whether it is true is not looked at. */
export function exponentiation(key, transcript, { tag, product, total }, nonce = findNonce(transcript, tag, product)) {
  const prime = candidate(transcript, tag, product, nonce);
  const quotient = (key.power(tag, key.e / prime) * key.power(key.g, -(total / prime))) % key.n;
  return assemble({ tag, quotient, residue: total % prime, nonce, product, prime });
}

/** Parts, with the bytes of the full and of the claimed proof. */
export function assemble(parts) {
  const { tag, quotient, residue, nonce, product } = parts;
  const proof = concat([element(tag), element(quotient), word(residue), numberToHex(nonce, { size: 2 })]);
  return { ...parts, proof, claimed: concat([proof, element(product)]) };
}

/** An honest holder's proof, if its artifacts are whole. */
export const prove = (artifacts, challenges = artifacts.map((a) => a.challenge())) =>
  exponentiation(artifacts[0].key, transcriptOf(challenges), aggregate(artifacts, challenges));

/** A copy that can be spoiled without spoiling the original. */
export const copyOf = (artifact) =>
  Object.assign(Object.create(Artifact.prototype), artifact, {
    values: [...artifact.values],
    tags: new Map(artifact.tags),
  });
