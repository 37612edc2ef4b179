// A proof answers one question. Handed in as the answer to another it is refused; so is one that was made from the same
// tags and bytes with a prime that fits the other question, for its quotient then doesn't.
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { digest, setOf } from "./support/consortium.js";
import { Audit, BLOCK, CHAIN_ID, KEYS, Phase, Verdict, aggregate, claimed, proofOf, rootOf } from "./support/audit.js";
import { tagsOf } from "./support/audit.js";
import { productOf, tagged } from "./support/pdp.js";

/** T and M of an answer to `old`, dressed up as one to `asked`. */
const dressed = (lane, old, asked, key = lane.key) => {
  const { T, M } = aggregate(lane, old);
  return proofOf(claimed(key, { T, M, P: productOf(key, [asked]) }, asked.sigma));
};

/** The answer to `old` isn't one to `asked`, neither as it is nor dressed up. */
async function isWorthless(lane, old, asked, { target = lane, slot = target.slot, holder = target.holder } = {}) {
  const w = target.world;
  await w.refusesAsAnother(target.prove({ slot, holder, proof: lane.proof(old) }));
  const proof = dressed(lane, old, asked, target.key);
  await w.refuses(target.prove({ slot, holder, proof }), "PDPEquation");
  assert.equal(await target.verdict(slot, holder), Verdict.Pending);
}

describe("SyncAudit: replays", () => {
  let lane;
  let w;
  beforeEach(async () => {
    lane = await Audit.asked();
    w = lane.world;
  });

  it("of another slot are refused", async () => {
    const [first, next] = [lane.slot, lane.slot + 1];
    await lane.prove();
    await w.openProving(next);
    await isWorthless(lane, lane.challenge(first), lane.challenge(next), { slot: next });
    await lane.prove({ slot: next });
  });

  it("of another holder are refused", async () => {
    const other = w.stations[2];
    await w.send("assign", [lane.twin, other], w.stations[0]);
    const slot = lane.slot + 1;
    await w.openProving(slot);
    await lane.prove({ slot });
    await isWorthless(lane, lane.challenge(slot), lane.challenge(slot, other), { slot, holder: other });
    await lane.prove({ slot, holder: other });
  });

  it("of another twin with the same bytes are refused", async () => {
    const other = await w.lane(await w.twin("other"), { data: lane.data });
    const { slot } = other;
    await w.openProving(slot);
    await isWorthless(lane, lane.challenge(slot), other.challenge(slot), { target: other });
    await other.prove();
  });

  it("of an older version with the same bytes are refused", async () => {
    const c = w.c;
    await w.policy(c.twin);
    const old = await w.lane(c.twin);
    await c.finish(1);
    await w.registerKey(KEYS[3], w.stations[0]);
    await w.openProving(old.slot);
    await old.prove();
    const fresh = Object.assign(await w.tag(0, c.twin, old.data), { holder: old.holder });
    await w.openProving(fresh.slot);
    await isWorthless(old, old.challenge(fresh.slot), fresh.challenge(), { target: fresh });
    await fresh.prove();
  });

  it("under another key of the same tagger are refused", async () => {
    const fresh = Object.assign(await w.tag(0, lane.twin, lane.data, KEYS[3]), { holder: lane.holder });
    await w.openProving(fresh.slot);
    await isWorthless(lane, lane.challenge(fresh.slot), fresh.challenge(), { target: fresh });
    await fresh.prove();
  });

  it("of another lane of the same twin are refused", async () => {
    const other = await w.lane(lane.twin, { tagger: 2, data: lane.data, holders: [w.stations[0]] });
    await w.openProving(other.slot);
    const old = lane.challenge(other.slot);
    await isWorthless(lane, old, other.challenge(), { target: other });
    await other.prove();
  });

  for (const size of [99, 101, 2]) {
    it(`of a challenge of ${size} blocks and not 100 are refused`, async () => {
      await isWorthless(lane, lane.challenge(lane.slot, lane.holder, size), lane.challenge());
      await lane.prove();
    });
  }

  it("after a policy's change of size the old size is asked for until the slot ends", async () => {
    await w.policy(lane.twin, { size: 2 });
    const wrong = lane.proof(lane.challenge(lane.slot, lane.holder, 2));
    await w.refusesAsAnother(lane.prove({ proof: wrong }));
    await lane.prove();
    const slot = lane.slot + 1;
    await w.openProving(slot);
    await w.refusesAsAnother(lane.prove({ slot }));
    await lane.prove({ slot, proof: lane.proof(lane.challenge(slot, lane.holder, 2)) });
  });

  it("of a seed with other reveals, as a reorganisation may leave them, are refused", async () => {
    const slot = lane.slot + 1;
    await w.openProving(slot, [0, 1]);
    const all = w.revealed.get(slot);
    w.revealed.set(slot, [...all, [w.stations[2], w.value(2, slot)]]);
    const old = lane.challenge(slot);
    w.revealed.set(slot, all);
    await isWorthless(lane, old, lane.challenge(slot), { slot });
    await lane.prove({ slot });
  });

  for (const [what, change] of [
    ["chain", { chain: 1n }],
    ["contract", { contract: `0x${"11".repeat(20)}` }],
    ["twin", { twin: digest("another twin") }],
    ["version", { version: 7 }],
    ["manifest", { model: digest("another model") }],
    ["key", { key: digest("another key") }],
    ["root", { root: digest("another root") }],
    ["length", { length: 8999 }],
    ["size of blocks", { block: 2 * BLOCK }],
  ]) {
    it(`with tags made for another ${what} are refused`, async () => {
      const [version, model] = await w.c.ledger.read.head([lane.twin]);
      const here = { chain: CHAIN_ID, contract: w.contract.address, twin: lane.twin, version, model, key: lane.key.id };
      const made = { ...here, root: rootOf(lane.data), length: lane.data.length, block: BLOCK };
      assert.equal(tagged("tag", ...Object.values(made)), lane.tau);
      const tau = tagged("tag", ...Object.values({ ...made, ...change }));
      const elsewhere = Object.assign(Object.create(lane), { tau, tags: tagsOf(lane.key, tau, lane.data) });
      await isWorthless(elsewhere, { ...lane.challenge(), tau }, lane.challenge(), { target: lane });
    });
  }
});

describe("SyncAudit: replays between two contracts", () => {
  it("over the same ledger are refused, and each accepts its own", async () => {
    const first = await Audit.create();
    const second = await Audit.over(first.c);
    const twin = await first.twin("watch", { taggers: setOf(0) });
    await second.policy(twin, { taggers: setOf(0) });
    const [here, there] = [await first.lane(twin), await second.lane(twin)];
    await second.goTo(1, Phase.Open); // a few seconds after the first's: their phases overlap
    for (const world of [first, second]) for (const i of [0, 1, 2]) await world.anchor(i, 1);
    await second.goTo(1, Phase.Sealed);
    for (const world of [first, second]) for (const i of [0, 1, 2]) await world.reveal(i, 1);
    await second.goTo(1, Phase.Proving);
    await here.prove();
    await isWorthless(here, here.challenge(), there.challenge(), { target: there });
    await there.prove();
    const proven = [here.verdict(), there.verdict()];
    assert.deepEqual(await Promise.all(proven), [Verdict.Proven, Verdict.Proven]);
  });
});
