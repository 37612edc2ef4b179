// What the rounds cost, from receipts. A bound that is exceeded is a regression: say why, or mend it.
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { Consortium, accounts, digest, gasOf, idOf, people } from "./support/consortium.js";

const atMost = (gas, bound, what) => assert.ok(gas <= bound, `${what}: expected at most ${bound} gas, got ${gas}`);

describe("gas: registry", () => {
  let c;
  before(async () => {
    c = await Consortium.bare(1);
  });

  it("registers a station", async () => {
    atMost(await gasOf(c.admit(accounts[1])), 85_000, "registerStation");
  });

  it("registers a twin, and revises it", async () => {
    atMost(await gasOf(c.registerTwin()), 72_000, "registerTwin");
    const revise = c.registry.write.reviseTwin([c.twin, 2, digest("revised")], { account: people.owner });
    atMost(await gasOf(revise), 35_000, "reviseTwin");
  });

  it("enrols all devices of a station at once", async () => {
    // Bounds given as 51.7k and 34.6k.
    const set = (label) => c.registry.write.setRoster([digest(label), 1000], { account: c.stations[0] });
    atMost(await gasOf(set("first")), 51_749, "setRoster, first");
    atMost(await gasOf(set("again")), 34_649, "setRoster, again");
  });
});

describe("gas: rounds of three stations", () => {
  let c;
  before(async () => {
    c = await Consortium.create(3);
  });
  const onHead = async () => {
    const { number: baseRound, model: base } = await c.head();
    return { baseRound, base };
  };

  it("opens a twin's first round", async () => {
    atMost(await gasOf(c.open(1)), 88_000, "openRound, first");
  });

  it("pays for the twin's own slots once, in its first round", async () => {
    for (const index of [0, 1, 2]) await c.submit(index, 1);
    atMost(await gasOf(c.attest(0, 1, digest("m1"))), 81_000, "attest, a twin's first");
    atMost(await gasOf(c.attest(1, 1, digest("m1"))), 84_200, "attest, final");
  });

  it("keeps a steady round, and each of its parts, within its bound", async () => {
    const parts = { openRound: await gasOf(c.open(2)) };
    const base = await onHead();
    for (const index of [0, 1, 2]) parts[`submitUpdate ${index}`] = await gasOf(c.submit(index, 2, base));
    parts["attest, first"] = await gasOf(c.attest(0, 2, digest("m2")));
    parts["attest, final"] = await gasOf(c.attest(1, 2, digest("m2")));
    atMost(parts.openRound, 54_000, "openRound");
    for (const index of [0, 1, 2]) atMost(parts[`submitUpdate ${index}`], 54_400, `submitUpdate ${index}`);
    atMost(parts["attest, first"], 65_800, "attest, first");
    atMost(parts["attest, final"], 84_200, "attest, final");
    atMost(Object.values(parts).reduce((sum, gas) => sum + gas), 295_000, "the whole round");
  });

  it("records a late update by event alone", async () => {
    atMost(await gasOf(c.submit(0, 1)), 45_000, "submitUpdate, late");
  });
});

describe("gas: rounds of more stations", () => {
  for (const [stations, bound] of [
    [7, 610_000],
    [21, 1_640_000],
  ]) {
    it(`keeps a steady round of ${stations} stations within its bound`, async () => {
      const c = await Consortium.create(stations);
      await c.finish(1);
      const { number: baseRound, model: base } = await c.head();
      let total = await gasOf(c.open(2));
      for (let index = 0; index < stations; index++) total += await gasOf(c.submit(index, 2, { baseRound, base }));
      const { quorum } = await c.round();
      for (let index = 0; index < quorum; index++) {
        const gas = await gasOf(c.attest(index, 2, digest("m2")));
        if (index > 0 && index < quorum - 1) atMost(gas, 48_700, "attest, in the middle");
            total += gas;
      }
        atMost(total, bound, `the round of ${stations}`);
    });
  }
});
