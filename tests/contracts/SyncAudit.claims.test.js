import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { keccak256, sliceHex } from "viem";
import { blockTime, mineAt, nextBlockAt, people } from "./support/consortium.js";
import { Audit, FOREVER, Mode, Phase, TIMING, Verdict, aggregate, claimDigest, claimed } from "./support/audit.js";
import { falseClaim, pseudonym, signerOf } from "./support/audit.js";
import { mirrored } from "./support/evidence.js";
import { productOf } from "./support/pdp.js";

const { disputeSeconds } = TIMING;

describe("SyncAudit: claims", () => {
  let lane;
  let w;
  let sigma;
  beforeEach(async () => {
    lane = await Audit.asked();
    w = lane.world;
    sigma = lane.challenge().sigma;
  });
  const signed = (whole, by = signerOf(1)) => by.sign({ hash: claimDigest(sigma, whole) });
  const claim = async (whole, signature) =>
    w.send("proveOptimistic", [lane.slot, lane.twin, lane.holder, whole, signature ?? (await signed(whole))]);
  const dispute = (slot = lane.slot, holder = lane.holder) => w.send("dispute", [slot, lane.twin, holder]);
  const undisputable = (call, holder = lane.holder) =>
    w.refuses(call, "SyncAuditNotDisputable", [lane.slot, lane.twin, holder]);
  const name = () => sliceHex(sigma, 0, 23);

  it("are kept as the hash of their product, under the beginning of their transcript", async () => {
    const whole = lane.claimed();
    const accepted = [lane.slot, lane.twin, lane.holder, Mode.Optimistic, keccak256(whole)];
    await w.emits(claim(whole), "ProofAccepted", accepted);
    const fact = await w.read("factOf", [lane.slot, lane.twin, lane.holder]);
    assert.deepEqual(fact, { acceptedAt: BigInt(await blockTime()), mode: Mode.Optimistic, claim: name() });
    const product = sliceHex(keccak256(sliceHex(whole, 546)), 0, 30);
    assert.deepEqual(await w.read("claimOf", [name()]), [product, false]);
  });

  it("are provisional to the last second in which they can be disputed, and proven then", async () => {
    await claim(lane.claimed());
    const accepted = await blockTime();
    for (const [second, verdict, fresh] of [
      [accepted + 1, Verdict.Provisional, false],
      [accepted + disputeSeconds - 1, Verdict.Provisional, false],
      [accepted + disputeSeconds, Verdict.Proven, true],
      [accepted + 10 * disputeSeconds, Verdict.Proven, true],
    ]) {
      await mineAt(second);
      assert.deepEqual([await lane.verdict(), await w.read("isFresh", [lane.twin, FOREVER])], [verdict, fresh]);
    }
    assert.equal((await w.read("timeState", [lane.twin])).holders, 1);
  });

  it("that are right survive every dispute", async () => {
    await claim(lane.claimed());
    for (const _ of [1, 2]) await w.refuses(dispute(), "SyncAuditClaimHolds", [name()]);
    assert.equal(await lane.verdict(), Verdict.Provisional);
  });

  it("are made from nothing, accepted provisionally, and struck by anybody", async () => {
    await claim(falseClaim(lane.key, sigma));
    assert.equal(await lane.verdict(), Verdict.Provisional);
    await w.emits(dispute(), "ClaimStruck", [lane.slot, name()]);
    assert.equal((await w.read("claimOf", [name()]))[1], true);
    assert.equal(await lane.verdict(), Verdict.Failed);
    await undisputable(dispute());
    await mineAt((await blockTime()) + disputeSeconds);
    assert.equal(await lane.verdict(), Verdict.Failed);
    assert.equal(await w.read("isFresh", [lane.twin, FOREVER]), false);
    assert.equal((await w.read("timeState", [lane.twin])).proven, false);
  });

  it("that are struck leave no second try in their slot", async () => {
    await claim(falseClaim(lane.key, sigma));
    await dispute();
    const again = [lane.slot, lane.twin, lane.holder];
    await w.refuses(lane.prove(), "SyncAuditDuplicateProof", again);
    await w.refuses(claim(lane.claimed()), "SyncAuditDuplicateProof", again);
    assert.equal(await lane.verdict(), Verdict.Failed);
  });

  it("with both signs turned satisfy the equation, and are struck", async () => {
    const { T, M, P } = aggregate(lane, lane.challenge());
    const { n } = lane.key;
    await claim(claimed(lane.key, { T: n - T, M, P: n - P }, sigma));
    await w.emits(dispute(), "ClaimStruck", [lane.slot, name()]);
  });

  it("with one sign turned, or of another product, are refused at once", async () => {
    const { T, M, P } = aggregate(lane, lane.challenge());
    const { n } = lane.key;
    for (const wrong of [{ T: n - T, M, P }, { T, M, P: n - P }, { T, M, P: P + 1n }]) {
      await w.refuses(claim(claimed(lane.key, wrong, sigma)), "PDPEquation");
    }
    for (const wrong of [{ T: 0n, M, P }, { T: n, M, P }, { T, M, P: 0n }, { T, M, P: n }]) {
      await w.refuses(claim(claimed(lane.key, wrong, sigma)), "PDPRange");
    }
  });

  it("are disputed no more when the time is over, to the second", async () => {
    await claim(falseClaim(lane.key, sigma));
    const until = (await blockTime()) + disputeSeconds;
    await nextBlockAt(until);
    await undisputable(dispute());
    await mineAt(until);
    assert.equal(await lane.verdict(), Verdict.Proven); // nobody looked: what the mode rests on
  });

  it("are struck in the last second of a later slot", async () => {
    await claim(falseClaim(lane.key, sigma));
    const until = (await blockTime()) + disputeSeconds;
    assert.ok(until > w.time(lane.slot + 1, Phase.Open));
    await nextBlockAt(until - 1);
    await w.emits(dispute(), "ClaimStruck", [lane.slot, name()]);
    assert.equal(await lane.verdict(), Verdict.Failed);
  });

  it("are disputed though key, duty and policy are others by now", async () => {
    await claim(falseClaim(lane.key, sigma));
    await w.send("revokeKey", [lane.key.id], w.stations[0]);
    await w.send("unassign", [lane.twin, lane.holder], w.stations[0]);
    await w.policy(lane.twin, { size: 7 });
    await w.goTo(lane.slot + 1, Phase.Open);
    await w.emits(dispute(), "ClaimStruck", [lane.slot, name()]);
  });

  it("alone can be disputed: no full proof, nothing that isn't there", async () => {
    await undisputable(dispute());
    await lane.prove();
    await undisputable(dispute());
    const { outsider } = people;
    await w.refuses(dispute(lane.slot, outsider), "SyncAuditNotAssigned", [lane.twin, outsider, lane.slot]);
    await w.refuses(dispute(lane.slot + 1), "SyncAuditNoBeacon", [lane.slot + 1, 0, 1]);
  });

  it("are the holder's by its signature: others', malleated ones and those of something else are refused", async () => {
    const whole = lane.claimed();
    const right = await signed(whole);
    const bad = (signature) => w.refuses(claim(whole, signature), "SyncAuditBadClaimSignature", [lane.holder]);
    await bad("0x");
    await bad(`0x${"00".repeat(65)}`);
    await bad(sliceHex(right, 0, 64));
    await bad(`${right}00`);
    await bad(`${sliceHex(right, 0, 64)}${right.endsWith("1b") ? "00" : "01"}`); // v of 0 and 1
    await bad(mirrored(right)); // high s
    await bad(await signed(whole, signerOf(2)));
    await bad(await signed(falseClaim(lane.key, sigma)));
    await bad(await signerOf(1).sign({ hash: claimDigest(lane.challenge(lane.slot, w.stations[2]).sigma, whole) }));
    await bad(await signerOf(1).signMessage({ message: { raw: claimDigest(sigma, whole) } })); // with a prefix
    await claim(whole, right);
  });

  it("can't be put in a holder's place by a stranger, who may deliver a proof", async () => {
    const whole = falseClaim(lane.key, sigma);
    const call = claim(whole, await signed(whole, pseudonym("stranger")));
    await w.refuses(call, "SyncAuditBadClaimSignature", [lane.holder]);
    await lane.prove();
    assert.equal(await lane.verdict(), Verdict.Proven);
  });

  it("for another slot are refused, signature and all", async () => {
    const whole = lane.claimed();
    const signature = await signed(whole);
    const slot = lane.slot + 1;
    await w.openProving(slot);
    const replay = w.send("proveOptimistic", [slot, lane.twin, lane.holder, whole, signature]);
    await w.refuses(replay, "SyncAuditBadClaimSignature", [lane.holder]);
  });

  it("have 802 bytes", async () => {
    const whole = lane.claimed();
    for (const length of [0, 546, 801, 803]) {
      const wrong = length > 802 ? `${whole}00` : whole.slice(0, 2 + 2 * length);
      await w.refuses(claim(wrong), "PDPLength", [802n, BigInt(length)]);
    }
  });

  it("of a pseudonym are signed by a key that has never paid for anything", async () => {
    const hidden = pseudonym("a fresh key");
    const other = await w.lane(await w.twin("other"), { holders: [hidden.address] });
    await w.openProving(other.slot);
    const whole = other.claimed();
    const signature = await hidden.sign({ hash: claimDigest(other.challenge().sigma, whole) });
    await w.send("proveOptimistic", [other.slot, other.twin, hidden.address, whole, signature]);
    assert.equal(await other.verdict(), Verdict.Provisional);
  });

  it("claim the very product that the contract computes", async () => {
    const whole = lane.claimed();
    assert.equal(BigInt(sliceHex(whole, 546)), productOf(lane.key, [lane.challenge()]));
  });
});
