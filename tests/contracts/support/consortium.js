// A consortium on a chain of its own: contracts, stations, one twin with its genesis. Every test makes a new one, so
// no test sees another's rounds. Actions return transaction hashes, for `viem.assertions`.
import hre from "hardhat";
import { keccak256, sha256, toHex, zeroHash } from "viem";

export const { viem, provider } = await hre.network.create();
const client = await viem.getPublicClient();
/** All accounts of the chain. Stations are taken from the front, everyone else from the end. */
export const accounts = (await viem.getWalletClients()).map((wallet) => wallet.account.address);
const [outsider, owner, admin, newOwner] = accounts.slice(-4);
export const people = { outsider, owner, admin, newOwner };

export const Status = { None: 0, Submitting: 1, Attesting: 2, Expired: 3, Final: 4, Aborted: 5 };
export const ZERO = zeroHash;
export const Reason = { Quorum: 0, Forgery: 1, DoubleCount: 2, Challenge: 3 };
export const POLICY = { minSubmitFor: 60, minAttestFor: 30, minUpdates: 1, openGrace: 0 };
/** Seconds between elections, and for which the guardian's suspensions are counted. */
export const EPOCH = 86_400;
/** How many rounds' commitments the ledger keeps. */
export const COMMITMENTS = 8;

/** Digest of a manifest that needs no bytes here: the contracts never see any. */
export const digest = (label) => sha256(toHex(label));
export const idOf = (name) => keccak256(toHex(name));
/** The set of these station indices. */
export const setOf = (...indices) => indices.reduce((set, index) => set | (1n << BigInt(index)), 0n);

export const receiptOf = async (hash) => client.getTransactionReceipt({ hash: await hash });
export const gasOf = async (hash) => Number((await receiptOf(hash)).gasUsed);

export const blockTime = async () => Number((await client.getBlock()).timestamp);
/** The next transaction's block carries exactly this time. */
export const nextBlockAt = (time) => provider.request({ method: "evm_setNextBlockTimestamp", params: [time] });
/** Mines a block at this time: what views see from now on. */
export const mineAt = async (time) => {
  await nextBlockAt(time);
  await provider.request({ method: "evm_mine", params: [] });
};
export const mineAfter = async (seconds) => mineAt((await blockTime()) + seconds);

/** Asserts that a call reverts with this error of this contract, arguments included. */
export const refuses = (call, contract, error, args) =>
  viem.assertions.revertWithCustomErrorWithArgs(call, contract, error, args);

export class Consortium {
  twin = idOf("twinledger/test/pump");
  genesis = digest("genesis");

  /** Contracts and stations, but no twin yet. */
  static async bare(stations = 3, { epoch = EPOCH, minSeats = 1 } = {}) {
    const consortium = new Consortium();
    consortium.registry = await viem.deployContract("TwinRegistry", [admin, epoch, minSeats]);
    consortium.ledger = await viem.deployContract("RoundLedger", [consortium.registry.address]);
    consortium.stations = [];
    for (const station of accounts.slice(0, stations)) await consortium.admit(station);
    return consortium;
  }

  /** With a twin that has its genesis. */
  static async create(stations = 3, policy = POLICY) {
    const consortium = await Consortium.bare(stations);
    await consortium.registerTwin({ policy });
    await consortium.setGenesis();
    return consortium;
  }

  async admit(station) {
    this.stations.push(station);
    return this.registry.write.registerStation([station], { account: admin });
  }

  registerTwin({ twin = this.twin, manifest = digest("twin manifest"), policy = POLICY, by = owner } = {}) {
    return this.registry.write.registerTwin([twin, manifest, policy], { account: by });
  }

  setGenesis({ twin = this.twin, model = this.genesis, by = owner } = {}) {
    return this.ledger.write.genesis([twin, model], { account: by });
  }

  open(number, { by = this.stations[0], twin = this.twin, submitFor = 600, attestFor = 300, minUpdates = 1 } = {}) {
    return this.ledger.write.openRound([twin, number, submitFor, attestFor, minUpdates], { account: by });
  }

  /** An update of `round` on the genesis, unless `change` says otherwise. */
  update(station, round, change = {}) {
    return {
      twin: this.twin,
      round,
      trainedRound: round,
      baseRound: 0,
      base: this.genesis,
      update: digest(`update of ${station} in ${round}`),
      contributions: digest(`contributions to ${station} in ${round}`),
      examples: 1000n,
      ...change,
    };
  }

  submit(index, round, change = {}) {
    return this.submitBy(this.stations[index], round, change);
  }

  submitBy(station, round, change = {}) {
    return this.ledger.write.submitUpdate([this.update(station, round, change)], { account: station });
  }

  attest(index, number, model, replaced = ZERO) {
    return this.attestBy(this.stations[index], number, model, replaced);
  }

  attestBy(station, number, model, replaced = ZERO) {
    return this.ledger.write.attest([this.twin, number, model, replaced], { account: station });
  }

  /** By the guardian. */
  suspend(index, evidence = digest("evidence")) {
    return this.registry.write.suspendStation([this.stations[index], evidence], { account: admin });
  }

  reinstate(index) {
    return this.registry.write.reinstateStation([this.stations[index]], { account: admin });
  }

  dispute(by, number, accused, evidence = digest("evidence")) {
    return this.ledger.write.dispute([this.twin, number, this.stations[accused], evidence], {
      account: this.stations[by],
    });
  }

  tally(number, model, by = outsider) {
    return this.ledger.write.tally([this.twin, number, model], { account: by });
  }

  abort(number, by = outsider) {
    return this.ledger.write.abortRound([this.twin, number], { account: by });
  }

  round() {
    return this.ledger.read.roundOf([this.twin]);
  }

  async status() {
    return (await this.round()).status;
  }

  async head() {
    const [number, model] = await this.ledger.read.head([this.twin]);
    return { number, model };
  }

  votesFor(model) {
    return this.ledger.read.votesFor([this.twin, model]);
  }

  /** Opens a round and lets every station submit on the head: what comes next is attesting. */
  async openAndSubmit(number, options = {}) {
    const { number: baseRound, model: base } = await this.head();
    await this.open(number, options);
    for (const index of this.stations.keys()) await this.submit(index, number, { baseRound, base });
  }

  /** A whole round in which all agree, up to its quorum. Returns the model. */
  async finish(number, model = digest(`model of ${number}`)) {
    await this.openAndSubmit(number);
    const { quorum } = await this.round();
    for (let index = 0; index < quorum; index++) await this.attest(index, number, model);
    return model;
  }

  /** A whole round that nobody attests to. */
  async expireAndAbort(number) {
    await this.open(number);
    await this.pastAttesting();
    await this.abort(number);
  }

  async pastSubmitting() {
    await mineAt((await this.round()).submitUntil);
  }

  async pastAttesting() {
    await mineAt((await this.round()).attestUntil);
  }
}
