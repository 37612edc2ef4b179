import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { ZERO, digest, idOf, mineAt, setOf } from "./support/consortium.js";
import { Audit, FOREVER, KEYS, Phase, Verdict, forged, signerOf, claimDigest } from "./support/audit.js";
import { content } from "./support/pdp.js";

const { Open, Sealed, Proving, Closed } = Phase;
const TWO = { minHolders: 2, minTaggers: 2 };

describe("SyncAudit: freshness of one lane", () => {
  let lane;
  let w;
  let sealed;
  beforeEach(async () => {
    lane = await Audit.asked();
    w = lane.world;
    sealed = w.time(lane.slot, Sealed);
  });
  const fresh = (maxAge = FOREVER) => w.read("isFresh", [lane.twin, BigInt(maxAge)]);

  it("begins with the proof, and its age with the start of Sealed: nobody can have known the seed before", async () => {
    assert.equal(await fresh(), false);
    await lane.prove();
    assert.equal(await fresh(), true);
    for (const now of [sealed + 500, sealed + 1000]) {
      await mineAt(now);
      assert.equal(await fresh(now - sealed), true);
      assert.equal(await fresh(now - sealed - 1), false);
      assert.equal(await fresh(0), false);
    }
  });

  it("isn't touched by a slot that isn't sealed yet: its age would be below zero", async () => {
    await lane.prove();
    for (const [phase, plus] of [
      [Open, 0],
      [Sealed, -1],
      [Sealed, 0],
    ]) {
      await w.goTo(lane.slot + 1, phase, plus);
      const age = w.time(lane.slot + 1, phase, plus) - sealed;
      assert.deepEqual([await fresh(age), await fresh(age - 1)], [true, false]);
    }
  });

  it("lasts 64 slots, the present one counted, however old one takes it", async () => {
    await lane.prove();
    await w.goTo(lane.slot + 63, Closed, 70);
    assert.equal(await fresh(), true);
    assert.equal((await w.read("timeState", [lane.twin])).proven, true);
    await w.goTo(lane.slot + 64, Open);
    assert.equal(await fresh(), false);
    assert.equal((await w.read("timeState", [lane.twin])).proven, false);
  });

  it("looks past slots that are void or failed", async () => {
    await lane.prove();
    await w.openProving(lane.slot + 1); // nobody proves
    await w.goTo(lane.slot + 3, Closed); // two slots without a seed
    assert.deepEqual(
      await Promise.all([0, 1, 2, 3].map((later) => lane.verdict(lane.slot + later))),
      [Verdict.Proven, Verdict.Failed, Verdict.Void, Verdict.Void],
    );
    assert.equal(await fresh(), true);
    assert.equal((await w.read("timeState", [lane.twin])).slot, lane.slot);
  });

  it("is of the newest slot in which it was proven", async () => {
    await lane.prove();
    await w.openProving(lane.slot + 1);
    await lane.prove({ slot: lane.slot + 1 });
    const { slot, sealedAt } = await w.read("timeState", [lane.twin]);
    assert.deepEqual([slot, sealedAt], [lane.slot + 1, BigInt(w.time(lane.slot + 1, Sealed))]);
  });

  it("ends with a duty: who isn't asked any more vouches for nothing", async () => {
    await lane.prove();
    await w.send("unassign", [lane.twin, lane.holder], w.stations[0]);
    assert.equal(await fresh(), false);
    assert.equal(await lane.verdict(), Verdict.Proven);
  });

  it("is a twin's own, and none of a twin that nobody knows or that has no policy", async () => {
    await lane.prove();
    const other = await w.twin("other");
    const unasked = idOf("without a policy");
    await w.c.registerTwin({ twin: unasked });
    await w.c.setGenesis({ twin: unasked });
    for (const twin of [other, unasked, idOf("no twin")]) {
      assert.equal(await w.read("isFresh", [twin, FOREVER]), false);
      assert.equal((await w.read("timeState", [twin])).proven, false);
    }
  });

  it("is of the model that is asked about, and never of none", async () => {
    await lane.prove();
    const { manifest, version } = await w.read("timeState", [lane.twin]);
    assert.deepEqual([manifest, version], [digest("genesis of watch"), 0]);
    const of = (model) => w.read("isFreshVersion", [lane.twin, model, FOREVER]);
    assert.deepEqual(await Promise.all([manifest, digest("another"), ZERO].map(of)), [true, false, false]);
  });

  it("isn't made by a claim that can still be disputed", async () => {
    const whole = lane.claimed();
    const signature = await signerOf(1).sign({ hash: claimDigest(lane.challenge().sigma, whole) });
    await w.send("proveOptimistic", [lane.slot, lane.twin, lane.holder, whole, signature]);
    assert.equal(await fresh(), false);
    await w.goTo(lane.slot + 2, Proving);
    assert.equal(await fresh(), true);
  });

  it("is judged by the policy of the slot, and its taggers by the newest", async () => {
    await lane.prove();
    await w.policy(lane.twin, { minHolders: 2, minTaggers: 1 });
    await w.goTo(lane.slot + 1, Open);
    assert.equal(await fresh(), true);
    await w.policy(lane.twin, { taggers: setOf(1, 2) });
    assert.equal(await fresh(), false);
    await w.policy(lane.twin, { taggers: setOf(0) });
    assert.equal(await fresh(), true);
  });
});

describe("SyncAudit: freshness of several lanes", () => {
  let w;
  let twin;
  let a; // station 1 holds in the lane of station 0
  let b; // station 2 in that of station 1
  let slot;
  beforeEach(async () => {
    w = await Audit.create();
    twin = await w.twin("watch", TWO);
    [a, b] = [await w.lane(twin, { tagger: 0 }), await w.lane(twin, { tagger: 1 })];
    slot = a.slot;
    await w.openProving(slot);
  });
  const fresh = () => w.read("isFresh", [twin, FOREVER]);
  const both = async () => {
    await a.prove();
    await b.prove();
    assert.equal(await fresh(), true);
  };

  it("needs holders and lanes enough in one slot", async () => {
    await a.prove();
    assert.equal(await fresh(), false);
    const { proven, holders, taggers } = await w.read("timeState", [twin]);
    assert.deepEqual([proven, holders, taggers], [true, 1, 1]); // by anybody
    await b.prove();
    assert.equal(await fresh(), true);
    const state = await w.read("timeState", [twin]);
    const sealedAt = BigInt(w.time(slot, Sealed));
    const manifest = digest("genesis of watch");
    assert.deepEqual(state, { manifest, version: 0, proven: true, slot, sealedAt, holders: 2, taggers: 2 });
  });

  it("doesn't add up the proofs of two slots: that is what synchronised means", async () => {
    await a.prove();
    await w.openProving(slot + 1);
    await b.prove({ slot: slot + 1 });
    assert.equal(await fresh(), false);
    await a.prove({ slot: slot + 1 });
    assert.equal(await fresh(), true);
  });

  it("isn't made by two holders in one lane", async () => {
    await w.send("assign", [twin, w.stations[0]], w.stations[1]);
    await w.openProving(slot + 1);
    await b.prove({ slot: slot + 1 });
    await b.prove({ slot: slot + 1, holder: w.stations[0] });
    const { holders, taggers } = await w.read("timeState", [twin]);
    assert.deepEqual([holders, taggers, await fresh()], [2, 1, false]);
  });

  it("needs as many holders as the policy says, though the lanes are enough", async () => {
    await w.policy(twin, { minHolders: 3, minTaggers: 2 });
    await w.send("assign", [twin, w.stations[0]], w.stations[1]);
    await w.openProving(slot + 1);
    await a.prove({ slot: slot + 1 });
    await b.prove({ slot: slot + 1 });
    assert.equal(await fresh(), false);
    await b.prove({ slot: slot + 1, holder: w.stations[0] });
    assert.equal(await fresh(), true);
  });

  it("isn't made by a tagger alone, who proves in its own lane without the data", async () => {
    await a.prove({ proof: forged(a.key, a.challenge()).slice(0, 2 + 2 * 546) });
    assert.equal(await a.verdict(), Verdict.Proven); // a trapdoor that all such tags have
    assert.equal(await fresh(), false);
    const other = forged(a.key, b.challenge()).slice(0, 2 + 2 * 546); // and in nobody else's
    await w.refusesAsAnother(b.prove({ proof: other }));
    await b.prove();
    assert.equal(await fresh(), true); // one honest lane: its holder at least has the bytes
  });

  it("ends when a key is revoked, for every version under it", async () => {
    await both();
    await w.send("revokeKey", [a.key.id], w.stations[0]);
    assert.equal(await fresh(), false);
    assert.equal(await a.verdict(), Verdict.Proven);
  });

  it("comes back with tags of the same version under a new key", async () => {
    await both();
    await w.send("revokeKey", [a.key.id], w.stations[0]);
    const again = Object.assign(await w.tag(0, twin, a.data, KEYS[3]), { holder: a.holder });
    await w.openProving(again.slot);
    await again.prove();
    await b.prove({ slot: again.slot });
    assert.equal(await fresh(), true);
  });

  it("ends while a tagger is suspended", async () => {
    await both();
    await w.c.suspend(0);
    assert.equal(await fresh(), false);
    assert.equal((await w.read("timeState", [twin])).holders, 1);
    await w.c.reinstate(0);
    assert.equal(await fresh(), true);
  });

  it("doesn't end with the suspension of a holder: its proof needs nobody's word", async () => {
    await both();
    await w.c.suspend(2);
    assert.equal(await fresh(), true);
  });

  it("ends when the twin's owner lets a tagger tag no more", async () => {
    await both();
    await w.policy(twin, { ...TWO, taggers: setOf(1, 2) });
    assert.equal(await fresh(), false);
  });
});

describe("SyncAudit: freshness of versions", () => {
  it("ends with a new model until that is proven, and an older one can be asked about", async () => {
    const w = await Audit.create();
    const { twin, genesis } = w.c;
    await w.policy(twin);
    const old = await w.lane(twin);
    await w.openProving(old.slot);
    await old.prove();
    const fresh = (model) => w.read("isFreshVersion", [twin, model, FOREVER]);
    const model = await w.c.finish(1);
    const all = async () => [await w.read("isFresh", [twin, FOREVER]), await fresh(genesis), await fresh(model)];
    assert.deepEqual(await all(), [false, true, false]);
    const { version, manifest, proven } = await w.read("timeState", [twin]);
    assert.deepEqual([version, manifest, proven], [1, model, false]);

    const next = Object.assign(await w.tag(0, twin, content("round 1", 5000)), { holder: old.holder });
    assert.equal(await fresh(genesis), true); // the past is what it was
    await w.openProving(next.slot);
    assert.equal(await w.read("isFresh", [twin, FOREVER]), false);
    await next.prove();
    assert.deepEqual(await all(), [true, true, true]);
    assert.equal((await w.read("timeState", [twin])).slot, next.slot);
  });
});
