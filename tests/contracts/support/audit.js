// A consortium that audits possession, with artifacts whose tags and proofs are made here (support/pdp.js), so that the
// contract isn't held against itself.
import { getAddress, keccak256, sliceHex, toHex } from "viem";
import { mnemonicToAccount, privateKeyToAccount } from "viem/accounts";
import { Consortium, blockTime, digest, idOf, mineAt } from "./consortium.js";
import { nextBlockAt, people, refuses, setOf, viem } from "./consortium.js";
import { BLOCK_BYTES, Key, assemble, blocksOf, candidate, content, draws, findNonce } from "./pdp.js";
import { fullDomainHash, inverse, merkleRoot, modPow, tagged, transcriptOf, valueOf } from "./pdp.js";
import { productOf } from "./pdp.js";

export const CHAIN_ID = 31337n;
export const Phase = { Future: 0, Open: 1, Sealed: 2, Proving: 3, Closed: 4 };
export const Mode = { None: 0, Full: 1, Optimistic: 2, Quorum: 3 };
export const Verdict = { NotDue: 0, Pending: 1, Proven: 2, Provisional: 3, Attested: 4, Failed: 5, Void: 6 };
export const TIMING = { slotSeconds: 600, openSeconds: 60, sealSeconds: 120, proveSeconds: 300, disputeSeconds: 600 };
export const FOREVER = 2n ** 64n - 1n;
/** A bit for each mode that a policy allows. */
export const modesOf = (...modes) => modes.reduce((bits, mode) => bits | (1 << mode), 0);
export const POLICY = {
  modes: modesOf(Mode.Full, Mode.Optimistic, Mode.Quorum),
  size: 100,
  minHolders: 1,
  minTaggers: 1,
  attestedCounts: false,
  taggers: setOf(0, 1, 2),
};
export const MNEMONIC = "test test test test test test test test test test test junk";
/** The key of one of the chain's accounts; stations are the first. */
export const signerOf = (index) => mnemonicToAccount(MNEMONIC, { addressIndex: index });
/** An account that exists nowhere on the chain. */
export const pseudonym = (name) => privateKeyToAccount(keccak256(toHex(name)));

// -- artifacts, challenges, proofs ----------------------------------------------------------------------------------

export const KEYS = [0, 1, 2, 3].map((index) => Key.known(index));
export const BLOCK = BLOCK_BYTES;
export const rootOf = (data) => toHex(merkleRoot(blocksOf(data)));

export const tagsOf = (key, tau, data) =>
  blocksOf(data).map((block, i) => key.power(fullDomainHash(tau, i) * key.power(key.g, valueOf(block)), key.d));

/** T, M, P of what is asked about some bytes. */
export function aggregate({ key, data, tags }, challenge) {
  const blocks = blocksOf(data);
  let [T, M] = [1n, 0n];
  for (const [i, a] of draws(challenge)) {
    T = (T * modPow(tags[i], a, key.n)) % key.n;
    M += a * valueOf(blocks[i]);
  }
  return { T, M, P: productOf(key, [challenge]) };
}

/** A claimed proof, 802 bytes, for any T, M and P; it holds if T^e = P * g^M. */
export function claimed(key, { T, M, P }, transcript, power = (base, exponent) => key.power(base, exponent)) {
  const nonce = findNonce(transcript, T, P);
  const prime = candidate(transcript, T, P, nonce);
  const quotient = (power(T, key.e / prime) * power(inverse(key.g, key.n), M / prime)) % key.n;
  return assemble({ tag: T, quotient, residue: M % prime, nonce, product: P }).claimed;
}
export const proofOf = (whole) => sliceHex(whole, 0, 546);
/** Several artifacts under one key at once. */
export function together(lanes, challenges) {
  const { key } = lanes[0];
  const parts = lanes.map((lane, i) => aggregate(lane, challenges[i]));
  const T = parts.reduce((product, part) => (product * part.T) % key.n, 1n);
  const P = parts.reduce((product, part) => (product * part.P) % key.n, 1n);
  return claimed(key, { T, M: parts.reduce((sum, part) => sum + part.M, 0n), P }, transcriptOf(challenges));
}
/** Without any secret, as a holder does it: a second's work. */
export const publicPower = (key) => (base, exponent) => modPow(base, exponent, key.n);
/** By the tagger, who needs no data: T = P^d. */
export function forged(key, challenge) {
  const P = productOf(key, [challenge]);
  return claimed(key, { T: key.power(P, key.d), M: 0n, P }, challenge.sigma);
}
/** A claim from nothing: choose T and M, say that P = T^e * g^-M. */
export function falseClaim(key, transcript, T = 12345n, M = 67890n) {
  return claimed(key, { T, M, P: (key.power(T, key.e) * key.power(key.g, -M)) % key.n }, transcript);
}
export const claimDigest = (transcript, whole) => tagged("claim", transcript, keccak256(whole));

// -- the chain ------------------------------------------------------------------------------------------------------

/** What a holder proves in a tagger's lane. */
class Lane {
  constructor(fields) {
    Object.assign(this, fields);
  }

  /** What is asked, computed here. */
  challenge(slot = this.slot, holder = this.holder, size = this.size) {
    const sigma = tagged("challenge", this.world.seed(slot), this.tau, holder, size);
    return { tau: this.tau, sigma, blocks: this.tags.length, size };
  }

  claimed(challenge = this.challenge()) {
    return claimed(this.key, aggregate(this, challenge), challenge.sigma);
  }

  proof(challenge = this.challenge()) {
    return proofOf(this.claimed(challenge));
  }

  prove({ slot = this.slot, holder = this.holder, proof = this.proof(this.challenge(slot, holder)) } = {}) {
    return this.world.send("prove", [slot, this.twin, holder, proof]);
  }

  verdict(slot = this.slot, holder = this.holder) {
    return this.world.read("verdict", [this.twin, holder, slot]);
  }
}

/** Contracts and stations; a new one in every test, at slot 0. */
export class Audit {
  revealed = new Map(); // [station, value] of every slot's reveals
  chains = new Map(); // values of each station's chain, by slot
  keys = new Set(); // registered

  static async create({ stations = 3, timing = TIMING } = {}) {
    return Audit.over(await Consortium.create(stations), timing);
  }

  /** Of contracts that are there: another audit beside the first. */
  static async over(c, timing = TIMING) {
    const audit = Object.assign(new Audit(), { c });
    audit.stations = audit.c.stations.map((station) => getAddress(station));
    audit.verifier = await viem.deployContract("PDPVerifier");
    const { registry, ledger } = audit.c;
    const parts = [registry, ledger, audit.verifier].map((contract) => contract.address);
    audit.contract = await viem.deployContract("SyncAudit", [...parts, timing]);
    [audit.timing, audit.genesis] = [timing, Number(await audit.contract.read.genesisTime())];
    return audit;
  }

  send(name, args, by = people.outsider) {
    return this.contract.write[name](args, { account: by });
  }

  read(name, args = []) {
    return this.contract.read[name](args);
  }

  /** As an answer to another question: another number of the transcript is hardly ever a prime. */
  async refusesAsAnother(call) {
    await this.refuses(call, "PDPNotPrime").catch(() => this.refuses(call, "PDPEquation"));
  }

  emits(call, event, args) {
    return viem.assertions.emitWithArgs(call, this.contract, event, args);
  }

  /** Arguments included. */
  refuses(call, error, args = []) {
    const owner = error.startsWith("PDP") ? this.verifier : error.startsWith("Twin") ? this.c.registry : this.contract;
    return refuses(call, owner, error, args);
  }

  // -- time

  time(slot, phase, plus = 0) {
    const { slotSeconds, openSeconds, sealSeconds, proveSeconds } = this.timing;
    const before = [0, openSeconds, openSeconds + sealSeconds, openSeconds + sealSeconds + proveSeconds];
    return this.genesis + slot * slotSeconds + before[phase - 1] + plus;
  }

  /** What views see from now on. */
  goTo(slot, phase, plus = 0) {
    return mineAt(this.time(slot, phase, plus));
  }

  /** The next transaction's block has exactly this time. */
  nextAt(slot, phase, plus = 0) {
    return nextBlockAt(this.time(slot, phase, plus));
  }

  async slot() {
    return Math.floor(((await blockTime()) - this.genesis) / this.timing.slotSeconds);
  }

  // -- beacon

  /** A station's value of a slot. */
  value(index, slot) {
    return this.chains.get(index).get(slot);
  }

  /** Makes a station's chain from the slot before this one on, and publishes its beginning. */
  anchor(index, slot, length = 70) {
    const [values, station] = [new Map(), this.stations[index]];
    values.set(slot + length, keccak256(toHex(`chain of ${station} from ${slot}`)));
    for (let s = slot + length; s >= slot; s--) {
      values.set(s - 1, tagged("link", CHAIN_ID, this.contract.address, station, values.get(s)));
    }
    this.chains.set(index, values);
    return this.send("setAnchor", [values.get(slot - 1)], station);
  }

  async anchorAll(slot) {
    await this.goTo(slot, Phase.Open);
    for (const index of this.stations.keys()) await this.anchor(index, slot);
  }

  reveal(index, slot) {
    const reveals = this.revealed.get(slot) ?? [];
    this.revealed.set(slot, [...reveals, [this.stations[index], this.value(index, slot)]]);
    return this.send("reveal", [this.value(index, slot)], this.stations[index]);
  }

  /** Up to the proofs of a slot, with the reveals of these stations, or of all. */
  async openProving(slot, indices = [...this.stations.keys()]) {
    if (this.chains.size === 0) await this.anchorAll(slot);
    await this.goTo(slot, Phase.Sealed);
    for (const index of indices) await this.reveal(index, slot);
    await this.goTo(slot, Phase.Proving);
  }

  seed(slot) {
    const reveals = this.revealed.get(slot);
    const acc = reveals.reduce((x, [station, value]) => x ^ BigInt(tagged("reveal", slot, station, value)), 0n);
    return tagged("seed", CHAIN_ID, this.contract.address, slot, acc, reveals.length);
  }

  // -- lanes

  /** A twin with a genesis, and a policy from the next slot on. */
  async twin(name, policy = {}) {
    const twin = idOf(name);
    await this.c.registerTwin({ twin });
    await this.c.setGenesis({ twin, model: digest(`genesis of ${name}`) });
    await this.policy(twin, policy);
    return twin;
  }

  policy(twin, policy = {}, by = people.owner) {
    return this.send("setPolicy", [twin, { ...POLICY, ...policy }], by);
  }

  async registerKey(key, by) {
    if (!this.keys.has(key)) await this.send("registerKey", [key.modulus, key.exponentBits], by);
    this.keys.add(key);
  }

  async tau(twin, key, data) {
    const [version, model] = await this.c.ledger.read.head([twin]);
    const where = [CHAIN_ID, this.contract.address, twin, version, model];
    return tagged("tag", ...where, key.id, rootOf(data), data.length, BLOCK);
  }

  /** Tags the head, asks for it from the next slot on. */
  async tag(tagger, twin, data, key = KEYS[tagger]) {
    await this.registerKey(key, this.stations[tagger]);
    const tau = await this.tau(twin, key, data);
    const tags = tagsOf(key, tau, data);
    const args = [twin, key.id, rootOf(data), BigInt(data.length), digest("tags")];
    await this.send("registerTags", args, this.stations[tagger]);
    return new Lane({ world: this, twin, data, key, tau, tags, tagger, slot: (await this.slot()) + 1, size: 100 });
  }

  /** A lane with holders: the next station, unless others are named. */
  async lane(twin, { tagger = 0, data = content("artifact", 9000), key = KEYS[tagger], holders } = {}) {
    const lane = await this.tag(tagger, twin, data, key);
    lane.holders = holders ?? [this.stations[(tagger + 1) % 3]];
    lane.holder = lane.holders[0];
    for (const holder of lane.holders) await this.send("assign", [twin, holder], this.stations[tagger]);
    return lane;
  }

  /** One twin, one lane of station 0, up to the first slot's proofs. */
  static async asked({ policy = {}, lane = {}, ...options } = {}) {
    const world = await Audit.create(options);
    const made = await world.lane(await world.twin("watch", policy), lane);
    if (policy.size) made.size = policy.size;
    await world.openProving(made.slot);
    return made;
  }
}
