// What possession costs, from receipts. A bound that is exceeded is a regression: say why, or mend it. Proofs vary by
// some 2 %: the prime takes more or fewer squarings, and zero bytes of calldata are cheaper.
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { digest, gasOf, idOf } from "./support/consortium.js";
import { Audit, BLOCK, KEYS, Phase, claimDigest, falseClaim, rootOf, signerOf } from "./support/audit.js";
import { transcriptOf, content } from "./support/pdp.js";

const atMost = (gas, bound, what) => assert.ok(gas <= bound, `${what}: expected at most ${bound} gas, got ${gas}`);

describe("gas: keys, policies, tags and duties", () => {
  let w;
  let twin;
  before(async () => {
    w = await Audit.create();
    twin = await w.twin("watch");
  });
  const data = content("artifact", 9000);
  const tags = (key) => [twin, key.id, rootOf(data), 9000n, digest("tags")];

  it("registers a key: 533 bytes of code, and a slot", async () => {
    for (const key of [KEYS[0], KEYS[3]]) {
      const register = w.send("registerKey", [key.modulus, key.exponentBits], w.stations[0]);
      atMost(await gasOf(register), 205_000, "registerKey");
    }
  });

  it("sets a policy, first", async () => {
    await w.c.registerTwin({ twin: idOf("other") });
    atMost(await gasOf(w.policy(idOf("other"))), 66_000, "setPolicy");
  });

  it("registers tags: two slots, and two for those of before", async () => {
    atMost(await gasOf(w.send("registerTags", tags(KEYS[0]), w.stations[0])), 112_000, "registerTags, first");
    await w.goTo(2, Phase.Open);
    atMost(await gasOf(w.send("registerTags", tags(KEYS[3]), w.stations[0])), 118_000, "registerTags, steady");
  });

  it("assigns a holder", async () => {
    atMost(await gasOf(w.send("assign", [twin, w.stations[1]], w.stations[0])), 130_000, "assign");
  });
});

describe("gas: the beacon", () => {
  it("costs little in a steady slot", async () => {
    const w = await Audit.create();
    await w.anchorAll(1);
    await w.goTo(2, Phase.Open);
    for (const index of [0, 1, 2]) atMost(await gasOf(w.anchor(index, 2)), 48_000, "setAnchor, steady");
    for (const slot of [2, 3]) {
      await w.goTo(slot, Phase.Sealed);
      atMost(await gasOf(w.reveal(0, slot)), 95_000, "reveal, first of a slot");
      for (const index of [1, 2]) atMost(await gasOf(w.reveal(index, slot)), 54_000, "reveal, later");
    }
  });
});

describe("gas: proofs", () => {
  for (const [blocks, bound] of [
    [1, 435_000],
    [7, 530_000],
    [16, 680_000],
  ]) {
    it(`of ${blocks} blocks, all of them asked for`, async () => {
      const lane = await Audit.asked({ lane: { data: content("artifact", blocks * BLOCK) } });
      atMost(await gasOf(lane.prove()), bound, `prove, ${blocks} blocks`);
    });
  }

  it("claimed, and disputed", async () => {
    const lane = await Audit.asked({ lane: { data: content("artifact", 16 * BLOCK) } });
    const { world: w, slot, twin, holder } = lane;
    const { sigma } = lane.challenge();
    const whole = falseClaim(lane.key, sigma);
    const signature = await signerOf(1).sign({ hash: claimDigest(sigma, whole) });
    const claim = w.send("proveOptimistic", [slot, twin, holder, whole, signature]);
    atMost(await gasOf(claim), 450_000, "proveOptimistic");
    atMost(await gasOf(w.send("dispute", [slot, twin, holder])), 330_000, "dispute, 16 blocks");
  });

  it("of ten twins at once, claimed", async () => {
    const w = await Audit.create();
    const lanes = [];
    for (let i = 0; i < 10; i++) lanes.push(await w.lane(await w.twin(`twin ${i}`), { data: content(`${i}`, 5000) }));
    lanes.sort((a, b) => (a.twin < b.twin ? -1 : 1));
    const [{ slot, holder }] = lanes;
    await w.openProving(slot);
    const transcript = transcriptOf(lanes.map((lane) => lane.challenge()));
    const whole = falseClaim(KEYS[0], transcript);
    const signature = await signerOf(1).sign({ hash: claimDigest(transcript, whole) });
    const twins = lanes.map(({ twin }) => twin);
    const claim = w.send("proveBatchOptimistic", [slot, twins, holder, whole, signature]);
    atMost((await gasOf(claim)) / 10, 81_000, "proveBatchOptimistic, each of ten");
  });
});
