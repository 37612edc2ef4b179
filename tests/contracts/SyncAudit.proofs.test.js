import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { keccak256, zeroHash } from "viem";
import { ZERO, blockTime, people } from "./support/consortium.js";
import { Audit, BLOCK, KEYS, Mode, Phase, Verdict, aggregate, claimDigest, claimed, modesOf } from "./support/audit.js";
import { proofOf, publicPower, signerOf } from "./support/audit.js";
import { content } from "./support/pdp.js";

const { Open, Sealed, Proving, Closed, Future } = Phase;
const GARBAGE = `0x${"5a".repeat(546)}`;

describe("SyncAudit: a full proof", () => {
  let lane;
  let w;
  beforeEach(async () => {
    lane = await Audit.asked();
    w = lane.world;
  });

  it("is made without any secret, delivered by anybody, and named", async () => {
    const asked = lane.challenge();
    assert.deepEqual(await w.read("challengeOf", [lane.slot, lane.twin, lane.holder]), [asked, lane.key.id]);
    const proof = proofOf(claimed(lane.key, aggregate(lane, asked), asked.sigma, publicPower(lane.key)));
    assert.equal(proof, lane.proof()); // what the other tests use for speed is the same
    const accepted = [lane.slot, lane.twin, lane.holder, Mode.Full, keccak256(proof)];
    await w.emits(lane.prove({ proof }), "ProofAccepted", accepted);
    const { acceptedAt, mode, claim } = await w.read("factOf", [lane.slot, lane.twin, lane.holder]);
    assert.deepEqual([acceptedAt, mode, BigInt(claim)], [BigInt(await blockTime()), Mode.Full, 0n]);
    assert.equal(await lane.verdict(), Verdict.Proven);
  });

  it("is accepted in the first and in the last second of Proving", async () => {
    await w.send("assign", [lane.twin, w.stations[2]], w.stations[0]);
    const slot = lane.slot + 1;
    await w.goTo(slot, Sealed);
    for (const index of [0, 1, 2]) await w.reveal(index, slot);
    await w.nextAt(slot, Proving);
    await lane.prove({ slot });
    await w.nextAt(slot, Closed, -1);
    await lane.prove({ slot, holder: w.stations[2] });
    assert.equal(await lane.verdict(slot, w.stations[2]), Verdict.Proven);
  });

  it("is refused a second before Proving, though all have revealed, and a second after", async () => {
    const slot = lane.slot + 1;
    await w.goTo(slot, Sealed);
    for (const index of [0, 1, 2]) await w.reveal(index, slot);
    await w.nextAt(slot, Proving, -1);
    await w.refuses(lane.prove({ slot }), "SyncAuditUnexpectedPhase", [slot, Sealed, Proving]);
    await w.nextAt(slot, Closed);
    await w.refuses(lane.prove({ slot }), "SyncAuditUnexpectedPhase", [slot, Closed, Proving]);
    await w.goTo(slot + 1, Open);
    await w.refuses(lane.prove({ slot }), "SyncAuditUnexpectedPhase", [slot, Closed, Proving]);
    for (const [other, phase] of [[slot + 1, Open], [slot + 2, Future]]) {
      const early = lane.prove({ slot: other, proof: GARBAGE });
      await w.refuses(early, "SyncAuditUnexpectedPhase", [other, phase, Proving]);
    }
    assert.equal(await lane.verdict(slot), Verdict.Failed);
  });

  it("of another slot's seed is refused in Proving of this one's, whatever slot it names", async () => {
    for (const slot of [lane.slot - 1, lane.slot + 1]) {
      const phase = slot < lane.slot ? Closed : Future;
      const call = lane.prove({ slot, proof: lane.proof() });
      await w.refuses(call, "SyncAuditUnexpectedPhase", [slot, phase, Proving]);
    }
  });

  it("comes once in a slot", async () => {
    await lane.prove();
    await w.refuses(lane.prove(), "SyncAuditDuplicateProof", [lane.slot, lane.twin, lane.holder]);
  });

  it("isn't one without the last block's bytes", async () => {
    const data = Buffer.concat([lane.data.subarray(0, 2 * BLOCK), Buffer.alloc(lane.data.length - 2 * BLOCK)]);
    const asked = lane.challenge();
    const short = proofOf(claimed(lane.key, aggregate({ ...lane, data }, asked), asked.sigma));
    await w.refuses(lane.prove({ proof: short }), "PDPEquation");
    await lane.prove();
  });

  it("has 546 bytes", async () => {
    const whole = lane.claimed();
    for (const length of [0, 545, 547, 802]) {
      const proof = whole.slice(0, 2 + 2 * length);
      await w.refuses(lane.prove({ proof }), "PDPLength", [546n, BigInt(length)]);
    }
  });
});

describe("SyncAudit: proofs of one, of two and of some of many blocks", () => {
  for (const [blocks, size] of [
    [1, 100],
    [2, 2],
    [3, 2],
    [9, 4],
  ]) {
    it(`are accepted of ${blocks} if ${size} are asked for`, async () => {
      const data = content("artifact", blocks * BLOCK);
      const lane = await Audit.asked({ policy: { size }, lane: { data } });
      assert.equal(lane.tags.length, blocks);
      await lane.prove();
      assert.equal(await lane.verdict(), Verdict.Proven);
    });
  }
});

describe("SyncAudit: what is refused first", () => {
  it("phase, then seed, duty, tags, key, mode, the second of its kind, and the proof at last", async () => {
    const w = await Audit.create();
    const [tagger, holder] = w.stations;
    const twin = await w.twin("watch", { modes: modesOf(Mode.Optimistic) });
    const send = (slot) => w.send("prove", [slot, twin, holder, "0x"]);
    await w.anchorAll(1);
    await w.refuses(send(1), "SyncAuditUnexpectedPhase", [1, Open, Proving]);
    await w.openProving(1, [0]);
    await w.refuses(send(1), "SyncAuditNoBeacon", [1, 1, 2]);
    await w.openProving(2);
    await w.refuses(send(2), "SyncAuditNotAssigned", [twin, holder, 2]);
    await w.send("assign", [twin, holder], tagger);
    await w.openProving(3);
    await w.refuses(send(3), "SyncAuditNoTags", [twin, tagger, 3]);
    const { key } = await w.tag(0, twin, content("artifact", 1));
    await w.send("revokeKey", [key.id], tagger);
    await w.openProving(4);
    await w.refuses(send(4), "SyncAuditKeyRevoked", [key.id]);
    const lane = await w.tag(0, twin, content("artifact", 1), KEYS[3]);
    await w.openProving(5);
    await w.refuses(send(5), "SyncAuditModeNotAllowed", [twin, Mode.Full]);
    await w.policy(twin, { modes: modesOf(Mode.Full) });
    await w.openProving(6);
    await w.refuses(send(6), "PDPLength", [546n, 0n]);
    lane.holder = holder;
    await lane.prove({ slot: 6 });
    await w.refuses(send(6), "SyncAuditDuplicateProof", [6, twin, holder]);
    const claim = w.send("proveOptimistic", [6, twin, holder, "0x", "0x"]);
    await w.refuses(claim, "SyncAuditModeNotAllowed", [twin, Mode.Optimistic]);
    await w.refuses(w.send("attest", [6, twin, holder, ZERO, "0x"]), "SyncAuditModeNotAllowed", [twin, Mode.Quorum]);
  });

  it("a slot without any reveal asks nothing, and says so", async () => {
    const lane = await Audit.asked();
    const { world: w, twin, holder } = lane;
    const slot = lane.slot + 1;
    for (const phase of [Open, Sealed]) {
      await w.goTo(slot, phase);
      const early = w.read("challengeOf", [slot, twin, holder]);
      await w.refuses(early, "SyncAuditUnexpectedPhase", [slot, phase, Proving]);
    }
    await w.goTo(slot, Proving);
    await w.refuses(lane.prove({ slot, proof: GARBAGE }), "SyncAuditNoBeacon", [slot, 0, 1]);
    await w.refuses(w.read("challengeOf", [slot, twin, holder]), "SyncAuditNoBeacon", [slot, 0, 1]);
    const unasked = w.read("challengeOf", [lane.slot, twin, people.outsider]);
    await w.refuses(unasked, "SyncAuditNotAssigned", [twin, people.outsider, lane.slot]);
  });

  it("a claim or a quorum outside Proving, as a proof", async () => {
    const { world: w, slot, twin, holder } = await Audit.asked();
    await w.goTo(slot, Closed);
    const late = ["SyncAuditUnexpectedPhase", [slot, Closed, Proving]];
    await w.refuses(w.send("proveOptimistic", [slot, twin, holder, "0x", "0x"]), ...late);
    await w.refuses(w.send("attest", [slot, twin, holder, zeroHash, "0x"]), ...late);
    const twins = [ZERO, twin];
    await w.refuses(w.send("proveBatch", [slot, twins, holder, "0x"]), ...late);
    await w.refuses(w.send("proveBatchOptimistic", [slot, twins, holder, "0x", "0x"]), ...late);
  });
});

describe("SyncAudit: verdicts", () => {
  let lane;
  let w;
  beforeEach(async () => {
    lane = await Audit.asked();
    w = lane.world;
  });

  it("are NotDue for who isn't asked: no duty, no tags, a slot to come", async () => {
    assert.equal(await lane.verdict(lane.slot, people.outsider), Verdict.NotDue);
    assert.equal(await lane.verdict(lane.slot - 1), Verdict.NotDue);
    assert.equal(await lane.verdict(lane.slot + 1), Verdict.NotDue);
    await w.send("assign", [lane.twin, w.stations[0]], w.stations[1]); // a lane without tags
    await w.goTo(lane.slot + 1, Closed);
    assert.equal(await lane.verdict(lane.slot + 1, w.stations[0]), Verdict.NotDue);
  });

  it("are Pending to the last second of Proving and Failed from then on: nothing is written for it", async () => {
    assert.equal(await lane.verdict(), Verdict.Pending);
    await w.goTo(lane.slot, Closed, -1);
    assert.equal(await lane.verdict(), Verdict.Pending);
    await w.goTo(lane.slot, Closed);
    assert.equal(await lane.verdict(), Verdict.Failed);
    await w.goTo(lane.slot + 1, Open);
    assert.equal(await lane.verdict(lane.slot + 1), Verdict.Pending);
    await w.goTo(lane.slot + 1, Sealed);
    assert.equal(await lane.verdict(lane.slot + 1), Verdict.Pending);
    await w.goTo(lane.slot + 500, Open);
    assert.equal(await lane.verdict(), Verdict.Failed);
    assert.equal((await w.read("factOf", [lane.slot, lane.twin, lane.holder])).acceptedAt, 0n);
  });

  it("are Void where nobody could answer, from the slot's end on", async () => {
    const slot = lane.slot + 1;
    await w.openProving(slot, [0]);
    assert.equal(await lane.verdict(slot), Verdict.Pending);
    await w.goTo(slot + 1, Closed);
    assert.deepEqual([await lane.verdict(slot), await lane.verdict(slot + 1)], [Verdict.Void, Verdict.Void]);
  });

  it("stay Proven, whatever becomes of key, duty, policy and tagger", async () => {
    await lane.prove();
    await w.send("revokeKey", [lane.key.id], w.stations[0]);
    await w.send("unassign", [lane.twin, lane.holder], w.stations[0]);
    await w.policy(lane.twin, { modes: modesOf(Mode.Quorum), taggers: 1n << 63n });
    await w.c.suspend(0);
    await w.goTo(lane.slot + 200, Closed);
    assert.equal(await lane.verdict(), Verdict.Proven);
    assert.equal(await lane.verdict(lane.slot + 1), Verdict.NotDue);
  });

  it("of a duty that was ended in its slot are still due in it", async () => {
    await w.send("unassign", [lane.twin, lane.holder], w.stations[0]);
    await w.send("revokeKey", [lane.key.id], w.stations[0]);
    await w.refuses(lane.prove(), "SyncAuditKeyRevoked", [lane.key.id]);
    await w.goTo(lane.slot, Closed);
    assert.equal(await lane.verdict(), Verdict.Failed);
  });

  it("of one twin say nothing about another's, and of one holder nothing about another's", async () => {
    await w.send("assign", [lane.twin, w.stations[2]], w.stations[0]);
    const other = await w.lane(await w.twin("other"));
    const slot = lane.slot + 1;
    await w.openProving(slot);
    await other.prove({ slot });
    const verdicts = [other.verdict(slot), lane.verdict(slot), lane.verdict(slot, w.stations[2])];
    assert.deepEqual(await Promise.all(verdicts), [Verdict.Proven, Verdict.Pending, Verdict.Pending]);
  });

  it("know a claim's holder by its signature, and a proof's by the question", async () => {
    const whole = lane.claimed();
    const signature = await signerOf(1).sign({ hash: claimDigest(lane.challenge().sigma, whole) });
    await w.send("proveOptimistic", [lane.slot, lane.twin, lane.holder, whole, signature]);
    assert.equal(await lane.verdict(), Verdict.Provisional);
    await w.refuses(lane.prove(), "SyncAuditDuplicateProof", [lane.slot, lane.twin, lane.holder]);
  });
});
