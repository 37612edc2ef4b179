import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { concat, getAddress, keccak256, sliceHex, zeroAddress, zeroHash } from "viem";
import { accounts, people, setOf } from "./support/consortium.js";
import { Audit, CHAIN_ID, FOREVER, Mode, Phase, Verdict, modesOf, signerOf } from "./support/audit.js";
import { mirrored } from "./support/evidence.js";
import { tagged } from "./support/pdp.js";

const ATTESTED = { modes: modesOf(Mode.Quorum), attestedCounts: true };
const ascending = (indices) =>
  [...indices].sort((a, b) => (BigInt(signerOf(a).address) < BigInt(signerOf(b).address) ? -1 : 1));

describe("SyncAudit: a quorum of stations", () => {
  let lane;
  let w;
  let proofHash;
  let order; // who may vouch for station 1, ascending by address
  beforeEach(async () => {
    lane = await Audit.asked({ stations: 5, policy: ATTESTED }); // quorum 4
    w = lane.world;
    proofHash = keccak256(lane.proof());
    order = ascending([0, 2, 3, 4]);
  });
  const statement = (change = {}) => {
    const { sigma } = lane.challenge();
    const made = { chain: CHAIN_ID, contract: w.contract.address, slot: lane.slot, twin: lane.twin, sigma, proofHash };
    return tagged("quorum", ...Object.values({ ...made, ...change }));
  };
  const signed = (indices, change) =>
    Promise.all(indices.map((index) => signerOf(index).sign({ hash: statement(change) })));
  const attest = (signatures, { hash = proofHash, holder = lane.holder, slot = lane.slot } = {}) =>
    w.send("attest", [slot, lane.twin, holder, hash, concat(["0x", ...signatures])]);
  /** Of another statement the recovered signer is somebody random: an outsider, and maybe out of order before that. */
  const worthless = (signatures, options) => assert.rejects(attest(signatures, options));

  it("vouches for a proof that it has seen off the chain, whoever brings the signatures", async () => {
    const accepted = [lane.slot, lane.twin, lane.holder, Mode.Quorum, proofHash];
    await w.emits(attest(await signed(order)), "ProofAccepted", accepted);
    assert.equal(await lane.verdict(), Verdict.Attested);
    const { mode, claim } = await w.read("factOf", [lane.slot, lane.twin, lane.holder]);
    assert.deepEqual([mode, BigInt(claim)], [Mode.Quorum, 0n]);
    assert.equal(await w.read("isFresh", [lane.twin, FOREVER]), true);
  });

  it("never makes Proven of it, however long ago it was", async () => {
    await attest(await signed(order));
    await w.goTo(lane.slot + 50, Phase.Open);
    assert.equal(await lane.verdict(), Verdict.Attested);
  });

  it("is two thirds of the electorate and one more", async () => {
    for (const count of [0, 1, 3]) {
      const call = attest(await signed(order.slice(0, count)));
      await w.refuses(call, "SyncAuditNoQuorum", [count, 4]);
    }
    await attest(await signed(order));
  });

  it("counts each station once, and in order", async () => {
    const [a, b, c, d] = await signed(order);
    for (const wrong of [
      [a, a, b, c],
      [a, b, c, c],
      [b, a, c, d],
      [d, c, b, a],
    ]) {
      await w.refuses(attest(wrong), "SyncAuditUnsortedSigners");
    }
    await attest([a, b, c, d]);
  });

  it("has no word of the holder itself", async () => {
    const withHolder = ascending([0, 1, 2, 3]);
    await w.refuses(attest(await signed(withHolder)), "SyncAuditNotElector", [lane.holder]);
    const everybody = ascending([0, 1, 2, 3, 4]);
    await w.refuses(attest(await signed(everybody)), "SyncAuditNotElector", [lane.holder]);
  });

  it("has signatures of one spelling: low s, v of 27 or 28, 65 bytes", async () => {
    const good = await signed(order);
    const [first, ...rest] = good;
    for (const wrong of [
      mirrored(first),
      `${sliceHex(first, 0, 64)}00`,
      `${sliceHex(first, 0, 64)}01`,
      `${sliceHex(first, 0, 64)}1d`,
      sliceHex(first, 0, 64),
      `${first}00`,
      `0x${"00".repeat(65)}`,
    ]) {
      await w.refuses(attest([wrong, ...rest]), "SyncAuditNotElector", [zeroAddress]);
    }
    await worthless([sliceHex(first, 1), ...rest, "0x00"]); // of the right length, each a byte off
    await w.refuses(attest(rest), "SyncAuditNoQuorum", [3, 4]);
    await attest(good);
  });

  it("is refused with any bit of its signatures changed, and with signatures that lie a byte off", async () => {
    const good = concat(["0x", ...(await signed(order))]);
    const bytes = Buffer.from(good.slice(2), "hex");
    const send = (blob) => w.send("attest", [lane.slot, lane.twin, lane.holder, proofHash, blob]);
    // In each part of each signature: r, s and v; then all of one, and none at all.
    for (let at = 0; at < bytes.length; at += at % 65 < 64 ? 16 : 1) {
      const changed = Buffer.from(bytes);
      changed[at] ^= 1 << (at % 8);
      await assert.rejects(send(`0x${changed.toString("hex")}`), `byte ${at}`);
    }
    for (const blob of [
      `0x${"ff".repeat(4 * 65)}`,
      `0x${"00".repeat(4 * 65)}`,
      concat(["0x00", sliceHex(good, 0, 4 * 65 - 1)]),
      concat([sliceHex(good, 1), "0x00"]),
      concat([good, good]),
      concat([good, "0x00"]),
    ]) {
      await assert.rejects(send(blob));
    }
    assert.equal(await lane.verdict(), Verdict.Pending);
    await send(good);
  });

  it("has no outsiders in it", async () => {
    const outsider = accounts.indexOf(people.outsider);
    const some = ascending([...order.slice(0, 3), outsider]);
    await w.refuses(attest(await signed(some)), "TwinRegistryUnknownStation", [getAddress(people.outsider)]);
  });

  it("is of the stations of the slot's first reveal: who came later has no say in it", async () => {
    const newcomer = accounts[20];
    await w.c.admit(newcomer);
    const some = ascending([...order.slice(0, 3), 20]);
    await w.refuses(attest(await signed(some)), "SyncAuditNotElector", [getAddress(newcomer)]);
    assert.equal((await w.read("beaconOf", [lane.slot])).electorate, setOf(0, 1, 2, 3, 4));
    await w.refuses(attest(await signed(order.slice(0, 3))), "SyncAuditNoQuorum", [3, 4]);
  });

  it("loses who is suspended by now, and needs as many as before", async () => {
    await w.c.suspend(4);
    await w.refuses(attest(await signed(order)), "TwinRegistrySuspended", [w.stations[4]]);
    const left = order.filter((index) => index !== 4);
    await w.refuses(attest(await signed(left)), "SyncAuditNoQuorum", [3, 4]);
  });

  for (const [what, change] of [
    ["slot", { slot: 9 }],
    ["twin", { twin: keccak256("0x01") }],
    ["question", { sigma: keccak256("0x02") }],
    ["proof", { proofHash: keccak256("0x03") }],
    ["contract", { contract: `0x${"11".repeat(20)}` }],
    ["chain", { chain: 1n }],
  ]) {
    it(`signs nothing about another ${what}`, async () => {
      await worthless(await signed(order, change));
      assert.equal(await lane.verdict(), Verdict.Pending);
      await attest(await signed(order));
    });
  }

  it("vouches for one holder, and not for another with the same signatures", async () => {
    const other = w.stations[2];
    await w.send("assign", [lane.twin, other], w.stations[0]);
    const slot = lane.slot + 1;
    await w.openProving(slot);
    const { sigma } = lane.challenge(slot);
    const vouching = ascending([0, 1, 3, 4]); // for station 2, too
    await worthless(await signed(vouching, { slot, sigma }), { slot, holder: other });
    await attest(await signed(vouching, { slot, sigma: lane.challenge(slot, other).sigma }), { slot, holder: other });
  });

  it("comes once in a slot", async () => {
    const signatures = await signed(order);
    await attest(signatures);
    await w.refuses(attest(signatures), "SyncAuditDuplicateProof", [lane.slot, lane.twin, lane.holder]);
    const call = w.send("dispute", [lane.slot, lane.twin, lane.holder]);
    await w.refuses(call, "SyncAuditNotDisputable", [lane.slot, lane.twin, lane.holder]);
  });

  it("isn't asked where the policy wants proofs", async () => {
    await w.policy(lane.twin, { modes: modesOf(Mode.Full, Mode.Optimistic) });
    const slot = lane.slot + 1;
    await w.openProving(slot);
    await w.refuses(attest([], { slot, hash: zeroHash }), "SyncAuditModeNotAllowed", [lane.twin, Mode.Quorum]);
  });

  it("makes fresh only by the policy of its own slot", async () => {
    await attest(await signed(order));
    await w.policy(lane.twin, { ...ATTESTED, attestedCounts: false });
    await w.goTo(lane.slot + 1, Phase.Proving);
    assert.equal(await w.read("isFresh", [lane.twin, FOREVER]), true);
  });
});

describe("SyncAudit: how many stations are a quorum", () => {
  for (const [stations, required] of [
    [3, 3],
    [4, 3],
    [6, 5],
    [7, 5],
  ]) {
    it(`${required} of ${stations}`, async () => {
      const lane = await Audit.asked({ stations, policy: ATTESTED });
      const { world: w, slot, twin, holder } = lane;
      const hash = tagged("quorum", CHAIN_ID, w.contract.address, slot, twin, lane.challenge().sigma, zeroHash);
      const vouching = ascending([...Array(stations).keys()].filter((index) => index !== 1));
      const signatures = await Promise.all(vouching.map((index) => signerOf(index).sign({ hash })));
      const attest = (count) => w.send("attest", [slot, twin, holder, zeroHash, concat(["0x", ...signatures.slice(0, count)])]);
      await w.refuses(attest(required - 1), "SyncAuditNoQuorum", [required - 1, required]);
      if (vouching.length < required) return; // a station's own account can't be vouched for by so few
      await attest(required);
      assert.equal(await lane.verdict(), Verdict.Attested);
    });
  }
});

describe("SyncAudit: a quorum's word", () => {
  it("makes nothing fresh unless the policy says so", async () => {
    const lane = await Audit.asked({ stations: 4, policy: { ...ATTESTED, attestedCounts: false } });
    const { world: w, slot, twin, holder } = lane;
    const hash = tagged("quorum", CHAIN_ID, w.contract.address, slot, twin, lane.challenge().sigma, zeroHash);
    const signatures = await Promise.all(ascending([0, 2, 3]).map((index) => signerOf(index).sign({ hash })));
    await w.send("attest", [slot, twin, holder, zeroHash, concat(["0x", ...signatures])]);
    assert.equal(await lane.verdict(), Verdict.Attested);
    assert.equal(await w.read("isFresh", [twin, FOREVER]), false);
    assert.equal((await w.read("timeState", [twin])).proven, false);
  });
});
