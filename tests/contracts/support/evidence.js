// What devices and stations sign, the trees over it, and the calls that prove something about it. The statements are
// spelled out here a second time, by EIP-712 as viem knows it, so that the contracts aren't held against themselves.
import { StandardMerkleTree } from "@openzeppelin/merkle-tree";
import { getAddress, keccak256, recoverTypedDataAddress, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { digest, people, viem } from "./consortium.js";

export const CHAIN_ID = 31337;
const LEAF = ["address", "bytes32", "uint64", "bytes32"];
const TYPES = {
  Contribution: [
    { name: "twin", type: "bytes32" },
    { name: "round", type: "uint64" },
    { name: "station", type: "address" },
    { name: "base", type: "bytes32" },
    { name: "digest", type: "bytes32" },
    { name: "examples", type: "uint64" },
  ],
  Receipt: [
    { name: "twin", type: "bytes32" },
    { name: "round", type: "uint64" },
    { name: "leaf", type: "bytes32" },
  ],
  Attestation: [
    { name: "twin", type: "bytes32" },
    { name: "round", type: "uint32" },
    { name: "model", type: "bytes32" },
    { name: "excluded", type: "uint64" },
  ],
};

/** Accounts of devices: only they sign with keys of their own; they never send a transaction. */
export const devices = Array.from({ length: 8 }, (_, index) => privateKeyToAccount(keccak256(toHex(`device ${index}`))));
const wallets = new Map((await viem.getWalletClients()).map((wallet) => [getAddress(wallet.account.address), wallet]));

export const domainOf = (ledger, chainId = CHAIN_ID) => ({
  name: "Twinledger",
  version: "1",
  chainId,
  verifyingContract: ledger.address,
});

const typed = (domain, primaryType, message) => ({ domain, types: TYPES, primaryType, message });
/** Signed by a device (a local key), or by a station (an account of the node). */
export const sign = (signer, domain, primaryType, message) =>
  (signer.signTypedData ? signer : wallets.get(getAddress(signer))).signTypedData(typed(domain, primaryType, message));

/** Order of secp256k1. */
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
/** The other spelling of a signature, with s in the upper half of the order: recovers the same address without EIP-2. */
export const mirrored = (signature) => {
  const s = ORDER - BigInt(`0x${signature.slice(66, 130)}`);
  const v = signature.slice(130) === "1b" ? "1c" : "1b";
  return `${signature.slice(0, 66)}${s.toString(16).padStart(64, "0")}${v}`;
};

export const rosterOf = (members) => StandardMerkleTree.of(members.map((device) => [device.address]), ["address"]);
export const rosterLeaf = (device) => rosterOf([device]).root; // a tree of one leaf is its leaf

const values = ({ device, digest: update, examples, signature }) => [device, update, examples, keccak256(signature)];
export const leafOf = (contribution) => StandardMerkleTree.of([values(contribution)], LEAF).root;

/** A station's tree of contributions. */
export class Tree {
  constructor(contributions) {
    this.contributions = contributions;
    this.tree = StandardMerkleTree.of(contributions.map(values), LEAF);
    this.root = this.tree.root;
  }

  proof(contribution) {
    return this.tree.getProof(values(contribution));
  }
}

/** Makes contributions and updates of one consortium; the honest way unless told otherwise. */
export class Evidence {
  constructor(consortium) {
    this.c = consortium;
    this.domain = domainOf(consortium.ledger);
  }

  /** A device's signed contribution to a station's update of `round`; `signed` changes what the device signs. */
  async contribution(device, station, round, { signed = {}, domain = this.domain, by = device, ...change } = {}) {
    const given = { device: device.address, digest: digest(`update of ${device.address}`), examples: 100n, ...change };
    const statement = {
      twin: this.c.twin,
      round: BigInt(round),
      station: this.c.stations[station],
      base: this.c.genesis,
      digest: given.digest,
      examples: given.examples,
      ...signed,
    };
    return { ...given, signature: await sign(by, domain, "Contribution", statement) };
  }

  contributions(members, station, round) {
    return Promise.all(members.map((device) => this.contribution(device, station, round)));
  }

  /** Submits a station's update with these contributions; what the ledger committed to, and the tree. */
  async submit(station, round, contributions, change = {}) {
    const tree = new Tree(contributions);
    const account = this.c.stations[station];
    const update = this.c.update(account, round, { contributions: tree.root, ...change });
    const { rosterRoot } = await this.c.registry.read.stationOf([account]);
    await this.c.ledger.write.submitUpdate([update], { account });
    return { recorded: { update, station: account, roster: rosterRoot }, tree };
  }

  setRoster(station, members) {
    const roster = rosterOf(members);
    return this.c.registry.write.setRoster([roster.root, members.length], { account: this.c.stations[station] });
  }

  receipt(station, round, leaf, { twin = this.c.twin, domain = this.domain } = {}) {
    return sign(this.c.stations[station], domain, "Receipt", { twin, round: BigInt(round), leaf });
  }

  /** Whom a signature recovers to, when taken for this ledger's receipt of a leaf. */
  receiptSigner(round, leaf, signature) {
    const message = { twin: this.c.twin, round: BigInt(round), leaf };
    return recoverTypedDataAddress({ ...typed(this.domain, "Receipt", message), signature });
  }

  /** Whom a signature recovers to, when taken for this ledger's attestation. */
  attestationSigner(round, model, excluded, signature) {
    const message = { twin: this.c.twin, round, model, excluded };
    return recoverTypedDataAddress({ ...typed(this.domain, "Attestation", message), signature });
  }

  attestation(station, round, model, change) {
    return this.attestationOf(this.c.stations[station], round, model, change);
  }

  attestationOf(account, round, model, { excluded = 0n, twin = this.c.twin, domain = this.domain } = {}) {
    return sign(account, domain, "Attestation", { twin, round, model, excluded });
  }

  proveForgery({ recorded, tree }, contribution, { by = this.c.stations[0], proof = tree.proof(contribution) } = {}) {
    return this.c.ledger.write.proveForgery([recorded, contribution, proof], { account: by });
  }

  proveDoubleCount(a, contributionA, b, contributionB, { by = this.c.stations[0] } = {}) {
    const args = [
      a.recorded,
      contributionA,
      a.tree.proof(contributionA),
      b.recorded,
      contributionB,
      b.tree.proof(contributionB),
    ];
    return this.c.ledger.write.proveDoubleCount(args, { account: by });
  }

  challengeInvented({ recorded, tree }, contribution, { by = this.c.stations[0] } = {}) {
    return this.c.ledger.write.challengeInvented([recorded, contribution, tree.proof(contribution)], { account: by });
  }

  challengeOmitted({ recorded }, leaf, receipt, { by = this.c.stations[0] } = {}) {
    return this.c.ledger.write.challengeOmitted([recorded, leaf, receipt], { account: by });
  }

  answer({ recorded }, root, leaf, proof, by = people.outsider) {
    const { twin, round } = recorded.update;
    return this.c.ledger.write.answerChallenge([twin, round, recorded.station, root, leaf, proof], { account: by });
  }

  settle({ recorded }, root, leaf, by = people.outsider) {
    const { twin, round } = recorded.update;
    return this.c.ledger.write.settleChallenge([twin, round, recorded.station, root, leaf], { account: by });
  }

  verify({ recorded, tree }, contribution, rosterProof, proof = tree.proof(contribution)) {
    return this.c.ledger.read.verifyContribution([recorded, contribution, proof, rosterProof]);
  }
}
