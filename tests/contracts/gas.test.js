// What the rounds cost, from receipts. A bound that is exceeded is a regression: say why, or mend it.
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { COMMITMENTS, Consortium, accounts, digest, gasOf, people } from "./support/consortium.js";

const atMost = (gas, bound, what) => assert.ok(gas <= bound, `${what}: expected at most ${bound} gas, got ${gas}`);

describe("gas: registry", () => {
  let c;
  before(async () => {
    c = await Consortium.bare(1);
  });

  it("registers a station", async () => {
    atMost(await gasOf(c.admit(accounts[1])), 92_000, "registerStation");
  });

  it("registers a twin, and revises it", async () => {
    atMost(await gasOf(c.registerTwin()), 72_700, "registerTwin");
    const revise = c.registry.write.reviseTwin([c.twin, 2, digest("revised")], { account: people.owner });
    atMost(await gasOf(revise), 35_000, "reviseTwin");
  });

  it("enrols all devices of a station at once", async () => {
    const set = (label) => c.registry.write.setRoster([digest(label), 1000], { account: c.stations[0] });
    atMost(await gasOf(set("first")), 51_900, "setRoster, first");
    atMost(await gasOf(set("again")), 34_800, "setRoster, again");
  });
});

describe("gas: a twin's first round, which pays for the twin's own slots", () => {
  let c;
  before(async () => {
    c = await Consortium.create(3);
  });

  it("opens it", async () => {
    atMost(await gasOf(c.open(1)), 64_000, "openRound, first");
  });

  it("records its updates and votes", async () => {
    for (const index of [0, 1, 2]) atMost(await gasOf(c.submit(index, 1)), 71_500, `submitUpdate ${index}`);
    atMost(await gasOf(c.attest(0, 1, digest("m1"))), 82_000, "attest, a twin's first");
    atMost(await gasOf(c.attest(1, 1, digest("m1"))), 75_500, "attest, final");
  });

  it("records a late update by event alone", async () => {
    await c.open(2);
    atMost(await gasOf(c.submit(0, 1)), 45_000, "submitUpdate, late");
  });
});

describe("gas: steady rounds, the ring of commitments reused", () => {
  for (const [stations, whole] of [
    [3, 360_000],
    [7, 700_000],
    [21, 1_900_000],
  ]) {
    it(`keeps a round of ${stations} stations, and each of its parts, within its ceiling`, async () => {
      const c = await Consortium.create(stations);
      for (let number = 1; number <= COMMITMENTS; number++) await c.finish(number);
      const number = COMMITMENTS + 1;
      const { number: baseRound, model: base } = await c.head();
      let total = await gasOf(c.open(number));
      atMost(total, 54_000, "openRound");
      for (const index of c.stations.keys()) {
        const gas = await gasOf(c.submit(index, number, { baseRound, base }));
        atMost(gas, 54_000, `submitUpdate ${index}`);
        total += gas;
      }
      const { quorum } = await c.round();
      for (let vote = 1; vote <= quorum; vote++) {
        const gas = await gasOf(c.attest(vote - 1, number, digest("model")));
        atMost(gas, vote < quorum ? 48_000 : 75_500, `attestation ${vote} of ${quorum}`);
        total += gas;
      }
      assert.equal((await c.head()).number, number);
      atMost(total, whole, `the round of ${stations}`);
    });
  }

  it("costs nothing more with a million devices: they are a root and two numbers", async () => {
    const c = await Consortium.create(3);
    for (let number = 1; number <= COMMITMENTS; number++) await c.finish(number);
    await c.registry.write.setRoster([digest("a million"), 1_000_000], { account: c.stations[0] });
    const { number: baseRound, model: base } = await c.head();
    await c.open(COMMITMENTS + 1);
    const update = { baseRound, base, examples: 1_000_000_000n };
    atMost(await gasOf(c.submit(0, COMMITMENTS + 1, update)), 54_000, "submitUpdate");
  });
});
