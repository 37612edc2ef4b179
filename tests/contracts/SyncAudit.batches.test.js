import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { keccak256, sliceHex } from "viem";
import { blockTime, gasOf, idOf, mineAt } from "./support/consortium.js";
import { Audit, BLOCK, FOREVER, KEYS, Mode, TIMING, Verdict, aggregate, claimDigest } from "./support/audit.js";
import { claimed, falseClaim, modesOf, proofOf, signerOf, together } from "./support/audit.js";
import { content, productOf, transcriptOf } from "./support/pdp.js";

/** Lanes of station 0 in which station 1 holds, ascending by twin, up to the proofs of their first slot. */
async function lanesOf(count, policyOf = () => ({}), keyOf = () => KEYS[0]) {
  const w = await Audit.create();
  const lanes = [];
  for (let i = 0; i < count; i++) {
    const twin = await w.twin(`twin ${i}`, policyOf(i));
    lanes.push(await w.lane(twin, { data: content(`artifact ${i}`, 5000), key: keyOf(i) }));
  }
  lanes.sort((a, b) => (a.twin < b.twin ? -1 : 1));
  await w.openProving(lanes[0].slot);
  return lanes;
}
const questions = (lanes) => lanes.map((lane) => lane.challenge());
const twinsOf = (lanes) => lanes.map(({ twin }) => twin);
const verdictsOf = (lanes) => Promise.all(lanes.map((lane) => lane.verdict()));
const all = (lanes, verdict) => lanes.map(() => verdict);

describe("SyncAudit: a batch", () => {
  let lanes;
  let w;
  let slot;
  let holder;
  beforeEach(async () => {
    lanes = await lanesOf(3);
    ({ world: w, slot, holder } = lanes[0]);
  });
  const prove = (proof, twins = twinsOf(lanes)) => w.send("proveBatch", [slot, twins, holder, proof]);

  it("proves each of its twins, by one event each", async () => {
    const proof = proofOf(together(lanes, questions(lanes)));
    const hash = await prove(proof);
    for (const { twin } of lanes) {
      await w.emits(Promise.resolve(hash), "ProofAccepted", [slot, twin, holder, Mode.Full, keccak256(proof)]);
    }
    assert.deepEqual(await verdictsOf(lanes), all(lanes, Verdict.Proven));
    const { mode, claim } = await w.read("factOf", [slot, lanes[1].twin, holder]);
    assert.deepEqual([mode, BigInt(claim)], [Mode.Full, 0n]);
  });

  it("is of two twins at least, strictly ascending", async () => {
    const [a, b, c] = twinsOf(lanes);
    const proof = proofOf(together(lanes, questions(lanes)));
    for (const twins of [[], [a], [b, a, c], [a, c, b], [a, a], [a, b, b], [c, b, a]]) {
      await w.refuses(prove(proof, twins), "SyncAuditBadBatch");
      const claim = w.send("proveBatchOptimistic", [slot, twins, holder, proof, "0x"]);
      await w.refuses(claim, "SyncAuditBadBatch");
      await w.refuses(w.send("disputeBatch", [slot, twins, holder]), "SyncAuditBadBatch");
    }
  });

  it("is refused with a proof of other twins, of fewer or of more", async () => {
    const proof = proofOf(together(lanes, questions(lanes)));
    await w.refusesAsAnother(prove(proof, twinsOf(lanes.slice(0, 2))));
    const fewer = proofOf(together(lanes.slice(0, 2), questions(lanes.slice(0, 2))));
    await w.refusesAsAnother(prove(fewer));
    await w.refusesAsAnother(lanes[0].prove({ proof }));
    await w.refusesAsAnother(prove(lanes[0].proof()));
    await prove(fewer, twinsOf(lanes.slice(0, 2)));
    assert.deepEqual(await verdictsOf(lanes), [Verdict.Proven, Verdict.Proven, Verdict.Pending]);
  });

  it("is refused with a transcript in another order", async () => {
    const asked = questions(lanes);
    const parts = lanes.map((lane, i) => aggregate(lane, asked[i]));
    const [T, P] = ["T", "P"].map((name) => parts.reduce((product, part) => (product * part[name]) % KEYS[0].n, 1n));
    const whole = { T, M: parts.reduce((sum, part) => sum + part.M, 0n), P };
    await w.refusesAsAnother(prove(proofOf(claimed(KEYS[0], whole, transcriptOf([...asked].reverse())))));
    await prove(proofOf(claimed(KEYS[0], whole, transcriptOf(asked))));
  });

  it("doesn't let errors cancel: what one twin lacks another can't make up for", async () => {
    const asked = questions(lanes);
    const parts = lanes.map((lane, i) => aggregate(lane, asked[i]));
    // The second's block is moved by as much as the first's is short of, as if their coefficients were the same.
    const shift = (data, by) => {
      const moved = Buffer.from(data);
      moved[0] = (moved[0] + by + 256) % 256;
      return moved;
    };
    const wrong = [shift(lanes[0].data, 1), shift(lanes[1].data, -1), lanes[2].data];
    const moved = lanes.map((lane, i) => aggregate({ ...lane, data: wrong[i] }, asked[i]));
    assert.notEqual(moved[0].M - parts[0].M, parts[1].M - moved[1].M);
    const [T, P] = ["T", "P"].map((name) => moved.reduce((product, part) => (product * part[name]) % KEYS[0].n, 1n));
    const M = moved.reduce((sum, part) => sum + part.M, 0n);
    await w.refuses(prove(proofOf(claimed(KEYS[0], { T, M, P }, transcriptOf(asked)))), "PDPEquation");
    assert.deepEqual(await verdictsOf(lanes), all(lanes, Verdict.Pending));
  });

  it("isn't taken for a twin that was proven already", async () => {
    const proof = proofOf(together(lanes, questions(lanes)));
    await lanes[1].prove();
    await w.refuses(prove(proof), "SyncAuditDuplicateProof", [slot, lanes[1].twin, holder]);
    assert.deepEqual(await verdictsOf(lanes), [Verdict.Pending, Verdict.Proven, Verdict.Pending]);
  });

  it("is refused if a twin of it isn't held, or its list names one that nobody knows", async () => {
    const twins = [...twinsOf(lanes), idOf("unknown")].sort();
    const call = prove(proofOf(together(lanes, questions(lanes))), twins);
    await w.refuses(call, "SyncAuditNotAssigned", [idOf("unknown"), holder, slot]);
  });
});

describe("SyncAudit: a batch of ten", () => {
  it("with one bad twin proves none, and nine of it are proven without that one", async () => {
    const lanes = await lanesOf(10);
    const { world: w, slot, holder } = lanes[0];
    const bad = 4;
    const spoiled = lanes.map((lane, i) => (i === bad ? { ...lane, data: Buffer.alloc(5000) } : lane));
    const proof = proofOf(together(spoiled, questions(lanes)));
    await w.refuses(w.send("proveBatch", [slot, twinsOf(lanes), holder, proof]), "PDPEquation");
    assert.deepEqual(await verdictsOf(lanes), all(lanes, Verdict.Pending));
    const good = lanes.filter((_, i) => i !== bad);
    await w.send("proveBatch", [slot, twinsOf(good), holder, proofOf(together(good, questions(good)))]);
    const expected = lanes.map((_, i) => (i === bad ? Verdict.Pending : Verdict.Proven));
    assert.deepEqual(await verdictsOf(lanes), expected);
  });
});

describe("SyncAudit: who may be in one batch", () => {
  it("twins under one key", async () => {
    const lanes = await lanesOf(2, undefined, (i) => KEYS[3 * i]);
    const { world: w, slot, holder } = lanes[0];
    const send = (name, ...more) => w.send(name, [slot, twinsOf(lanes), holder, "0x", ...more]);
    await w.refuses(send("proveBatch"), "SyncAuditBadBatch");
    await w.refuses(send("proveBatchOptimistic", "0x"), "SyncAuditBadBatch");
  });

  for (const [name, mode, other] of [
    ["proveBatch", Mode.Full, Mode.Optimistic],
    ["proveBatchOptimistic", Mode.Optimistic, Mode.Full],
  ]) {
    it(`twins that all allow what ${name} records`, async () => {
      const lanes = await lanesOf(3, (i) => ({ modes: modesOf(i === 1 ? other : mode) }));
      const { world: w, slot, holder } = lanes[0];
      const args = [slot, twinsOf(lanes), holder, "0x", ...(mode === Mode.Full ? [] : ["0x"])];
      await w.refuses(w.send(name, args), "SyncAuditModeNotAllowed", [idOf("twin 1"), mode]);
    });
  }
});

describe("SyncAudit: a claimed batch", () => {
  let lanes;
  let w;
  let slot;
  let holder;
  let transcript;
  beforeEach(async () => {
    lanes = await lanesOf(3);
    ({ world: w, slot, holder } = lanes[0]);
    transcript = transcriptOf(questions(lanes));
  });
  const signed = (whole, over = transcript, by = signerOf(1)) => by.sign({ hash: claimDigest(over, whole) });
  const claim = async (whole, signature) =>
    w.send("proveBatchOptimistic", [slot, twinsOf(lanes), holder, whole, signature ?? (await signed(whole))]);
  const dispute = (twins = twinsOf(lanes)) => w.send("disputeBatch", [slot, twins, holder]);
  const name = () => sliceHex(transcript, 0, 23);

  it("is each twin's claim, provisional until nobody can dispute it", async () => {
    await claim(together(lanes, questions(lanes)));
    const accepted = await blockTime();
    assert.deepEqual(await verdictsOf(lanes), all(lanes, Verdict.Provisional));
    for (const { twin } of lanes) assert.equal((await w.read("factOf", [slot, twin, holder])).claim, name());
    await w.refuses(dispute(), "SyncAuditClaimHolds", [name()]);
    await mineAt(accepted + TIMING.disputeSeconds);
    assert.deepEqual(await verdictsOf(lanes), all(lanes, Verdict.Proven));
    assert.equal(await w.read("isFresh", [lanes[2].twin, FOREVER]), true);
  });

  it("is struck for all its twins at once, and by no list but its own", async () => {
    await claim(falseClaim(KEYS[0], transcript));
    const [a, b, c] = twinsOf(lanes);
    for (const twins of [[a, b], [a, c], [b, c]]) {
      await w.refuses(dispute(twins), "SyncAuditNotDisputable", [slot, twins[0], holder]);
    }
    for (const twin of [a, b, c]) {
      await w.refuses(w.send("dispute", [slot, twin, holder]), "SyncAuditNotDisputable", [slot, twin, holder]);
    }
    assert.deepEqual(await verdictsOf(lanes), all(lanes, Verdict.Provisional));
    await w.emits(dispute(), "ClaimStruck", [slot, name()]);
    assert.deepEqual(await verdictsOf(lanes), all(lanes, Verdict.Failed));
    await w.refuses(dispute(), "SyncAuditNotDisputable", [slot, a, holder]);
  });

  it("isn't struck together with another, nor another with it", async () => {
    const [first, ...rest] = lanes;
    await claimOf(rest, falseClaim(KEYS[0], transcriptOf(questions(rest))));
    await lanes[0].prove();
    await w.refuses(dispute(), "SyncAuditNotDisputable", [slot, first.twin, holder]);
    await w.emits(dispute(twinsOf(rest)), "ClaimStruck", [slot, sliceHex(transcriptOf(questions(rest)), 0, 23)]);
    assert.deepEqual(await verdictsOf(lanes), [Verdict.Proven, Verdict.Failed, Verdict.Failed]);
  });
  const claimOf = async (some, whole) => {
    const signature = await signed(whole, transcriptOf(questions(some)));
    return w.send("proveBatchOptimistic", [slot, twinsOf(some), holder, whole, signature]);
  };

  it("is signed over its own transcript, by its holder", async () => {
    const whole = together(lanes, questions(lanes));
    for (const signature of [
      "0x",
      await signed(whole, lanes[0].challenge().sigma),
      await signed(whole, transcriptOf(questions(lanes.slice(0, 2)))),
      await signed(whole, transcript, signerOf(2)),
    ]) {
      await w.refuses(claim(whole, signature), "SyncAuditBadClaimSignature", [holder]);
    }
    await claim(whole);
  });

  it("claims the product of its twins' products", async () => {
    const whole = together(lanes, questions(lanes));
    const P = lanes.reduce((product, lane) => (product * productOf(KEYS[0], [lane.challenge()])) % KEYS[0].n, 1n);
    assert.equal(BigInt(sliceHex(whole, 546)), P);
  });
});

describe("SyncAudit: how much may be claimed at once", () => {
  /** Two twins of so many blocks, of which nobody needs the bytes: what is claimed is false. */
  const claimOf = async (...blocks) => {
    const w = await Audit.create();
    await w.registerKey(KEYS[0], w.stations[0]);
    const twins = [idOf("a"), idOf("b")].sort();
    for (const [i, twin] of twins.entries()) {
      await w.c.registerTwin({ twin });
      await w.c.setGenesis({ twin, model: idOf("model") });
      await w.policy(twin, { size: 1024 });
      const tags = [twin, KEYS[0].id, idOf("root"), BigInt(blocks[i] * BLOCK), idOf("tags")];
      await w.send("registerTags", tags, w.stations[0]);
      await w.send("assign", [twin, w.stations[1]], w.stations[0]);
    }
    await w.openProving(1);
    const asked = await Promise.all(twins.map((twin) => w.read("challengeOf", [1, twin, w.stations[1]])));
    const transcript = transcriptOf(asked.map(([challenge]) => challenge));
    const whole = falseClaim(KEYS[0], transcript);
    const signature = await signerOf(1).sign({ hash: claimDigest(transcript, whole) });
    const args = [1, twins, w.stations[1]];
    return { w, claim: () => w.send("proveBatchOptimistic", [...args, whole, signature]), args };
  };

  it("is what a dispute can compute in one transaction", async () => {
    const { w, claim, args } = await claimOf(24, 4000);
    await w.refuses(claim(), "SyncAuditBadBatch");
    const largest = await claimOf(24, 1000);
    await largest.claim();
    const gas = await gasOf(largest.w.send("disputeBatch", largest.args));
    assert.ok(gas < 18_000_000, `${gas}`);
    assert.equal(await largest.w.read("verdict", [args[1][0], args[2], 1]), Verdict.Failed);
  });
});
