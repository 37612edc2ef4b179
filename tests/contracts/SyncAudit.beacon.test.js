import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { keccak256, toHex } from "viem";
import { ZERO, accounts, people, provider, setOf } from "./support/consortium.js";
import { Audit, CHAIN_ID, Phase } from "./support/audit.js";
import { tagged } from "./support/pdp.js";

const ANCHOR = keccak256(toHex("an anchor"));
const { Open, Sealed, Proving, Closed } = Phase;
const orders = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
];

describe("SyncAudit: anchors", () => {
  let w;
  beforeEach(async () => {
    w = await Audit.create();
  });
  const set = (anchor = ANCHOR, by = w.stations[0]) => w.send("setAnchor", [anchor], by);

  it("are set from the first to the last second of Open, and named", async () => {
    await w.nextAt(1, Open);
    await w.emits(set(), "AnchorSet", [1, w.stations[0], ANCHOR]);
    assert.deepEqual(await w.read("anchorOf", [w.stations[0]]), [ANCHOR, 1]);
    await w.nextAt(2, Sealed, -1);
    await w.emits(set(), "AnchorSet", [2, w.stations[0], ANCHOR]);
    assert.deepEqual(await w.read("anchorOf", [w.stations[0]]), [ANCHOR, 2]);
    assert.deepEqual(await w.read("anchorOf", [w.stations[1]]), [ZERO, 0]);
  });

  for (const [name, phase, plus, current] of [
    ["the first second of Sealed", Sealed, 0, Sealed],
    ["the last second of Sealed", Proving, -1, Sealed],
    ["Proving", Proving, 0, Proving],
    ["the last second of a slot", Open, 599, Closed],
  ]) {
    it(`are refused in ${name}: a station could choose by what others reveal`, async () => {
      await w.nextAt(1, phase, plus);
      await w.refuses(set(), "SyncAuditUnexpectedPhase", [1, current, Open]);
    });
  }

  it("are of active stations, and not zero", async () => {
    await w.goTo(1, Open);
    await w.refuses(set(ANCHOR, people.outsider), "TwinRegistryUnknownStation", [people.outsider]);
    await w.refuses(set(ZERO), "SyncAuditZeroValue");
    await w.c.suspend(0);
    await w.refuses(set(), "TwinRegistrySuspended", [w.stations[0]]);
  });
});

describe("SyncAudit: reveals", () => {
  let w;
  beforeEach(async () => {
    w = await Audit.create();
    await w.anchorAll(1);
  });
  const reveal = (value, index = 0) => w.send("reveal", [value], w.stations[index]);
  const bad = (value, index = 0) => w.refuses(reveal(value, index), "SyncAuditBadReveal", [w.stations[index]]);

  it("come from the first to the last second of Sealed, and are named", async () => {
    await w.nextAt(1, Sealed);
    await w.emits(reveal(w.value(0, 1)), "Revealed", [1, w.stations[0], w.value(0, 1)]);
    await w.nextAt(1, Proving, -1);
    await w.emits(reveal(w.value(1, 1), 1), "Revealed", [1, w.stations[1], w.value(1, 1)]);
    assert.deepEqual(await w.read("anchorOf", [w.stations[0]]), [w.value(0, 1), 2]);
  });

  it("are refused a second early, a second late, and in every other phase", async () => {
    for (const [slot, phase, plus, current] of [
      [1, Sealed, -1, Open],
      [1, Proving, 0, Proving],
      [1, Closed, 0, Closed],
      [2, Open, 0, Open],
    ]) {
      await w.nextAt(slot, phase, plus);
      await w.refuses(reveal(w.value(0, 1)), "SyncAuditUnexpectedPhase", [slot, current, Sealed]);
    }
  });

  it("are preimages of the station's own anchor, on this chain and for this contract", async () => {
    await w.goTo(1, Sealed);
    await bad(ANCHOR);
    await bad(w.value(1, 1));
    await bad(w.value(0, 2));
    await bad(w.value(0, 0)); // the anchor itself
    await w.refuses(w.send("reveal", [ANCHOR]), "TwinRegistryUnknownStation", [people.outsider]);
  });

  for (const [what, link] of [
    ["chain", (value) => tagged("link", 1n, w.contract.address, w.stations[0], value)],
    ["contract", (value) => tagged("link", CHAIN_ID, w.verifier.address, w.stations[0], value)],
    ["station", (value) => tagged("link", CHAIN_ID, w.contract.address, w.stations[1], value)],
  ]) {
    it(`are refused if they were linked for another ${what}`, async () => {
      await w.goTo(2, Open);
      await w.send("setAnchor", [link(ANCHOR)], w.stations[0]);
      await w.goTo(2, Sealed);
      await bad(ANCHOR);
    });
  }

  it("need an anchor", async () => {
    const newcomer = accounts[10];
    await w.c.admit(newcomer);
    await w.goTo(1, Sealed);
    await w.refuses(w.send("reveal", [ANCHOR], newcomer), "SyncAuditBadReveal", [newcomer]);
  });

  it("count once in a slot", async () => {
    await w.goTo(1, Sealed);
    await w.reveal(0, 1);
    await bad(w.value(0, 1));
    await bad(w.value(0, 2)); // the next slot's, too early
  });

  it("are two hops away after a missed slot, and the missed value is never used: it may have leaked", async () => {
    await w.openProving(1, [0, 1]);
    await w.goTo(2, Sealed);
    await bad(w.value(2, 1), 2);
    await w.reveal(2, 2);
    assert.equal((await w.read("beaconOf", [2])).revealed, setOf(2));
    assert.equal((await w.read("beaconOf", [1])).revealed, setOf(0, 1));
  });

  it("bridge 256 slots and not 257; then a new anchor is set", async () => {
    await w.goTo(2, Open);
    for (const index of [0, 1]) await w.anchor(index, 2, 257);
    await w.goTo(257, Sealed);
    await w.reveal(0, 257); // 256 hops from the value of slot 1
    await w.goTo(258, Sealed);
    await bad(w.value(1, 258), 1);
    await w.goTo(259, Open);
    await w.anchor(1, 259);
    await w.goTo(259, Sealed);
    await w.reveal(1, 259);
  });

  it("are refused of a station that isn't in the slot's electorate, though it is active again", async () => {
    await w.c.suspend(2);
    await w.goTo(1, Sealed);
    await w.reveal(0, 1);
    assert.equal((await w.read("beaconOf", [1])).electorate, setOf(0, 1));
    await w.c.reinstate(2);
    await bad(w.value(2, 1), 2);
    await w.goTo(2, Sealed);
    await w.reveal(2, 2);
  });

  it("are refused of a suspended station, which stays counted if it was active at the first", async () => {
    await w.goTo(1, Sealed);
    await w.reveal(0, 1);
    await w.c.suspend(2);
    await w.refuses(reveal(w.value(2, 1), 2), "TwinRegistrySuspended", [w.stations[2]]);
    const { electorate, required } = await w.read("beaconOf", [1]);
    assert.deepEqual([electorate, required], [setOf(0, 1, 2), 2]);
  });

  it("of stations admitted after the first change nothing of the slot", async () => {
    await w.goTo(1, Sealed);
    await w.reveal(0, 1);
    for (const newcomer of [accounts[10], accounts[11], accounts[12]]) await w.c.admit(newcomer);
    const { electorate, required } = await w.read("beaconOf", [1]);
    assert.deepEqual([electorate, required], [setOf(0, 1, 2), 2]);
  });
});

describe("SyncAudit: the seed", () => {
  let w;
  beforeEach(async () => {
    w = await Audit.create();
    await w.anchorAll(1);
    await w.goTo(1, Sealed);
  });

  it("is the same for every order of reveals: a proposer can't grind by ordering", async () => {
    const seeds = new Set();
    for (const order of orders) {
      const snapshot = await provider.request({ method: "evm_snapshot", params: [] });
      w.revealed.clear();
      for (const index of order) await w.reveal(index, 1);
      await w.goTo(1, Proving);
      seeds.add((await w.read("beaconOf", [1])).seed);
      await provider.request({ method: "evm_revert", params: [snapshot] });
    }
    assert.deepEqual([...seeds], [w.seed(1)]);
  });

  it("is another one without a value: who withholds chooses among two, in public", async () => {
    await w.reveal(0, 1);
    await w.reveal(2, 1);
    await w.goTo(1, Proving);
    const { acc, electorate, revealed, required, seed } = await w.read("beaconOf", [1]);
    assert.deepEqual([electorate, revealed, required, seed], [setOf(0, 1, 2), setOf(0, 2), 2, w.seed(1)]);
    const [a, b, c] = w.stations.map((station, i) => BigInt(tagged("reveal", 1, station, w.value(i, 1))));
    assert.equal(BigInt(acc), a ^ c);
    const whole = tagged("seed", CHAIN_ID, w.contract.address, 1, a ^ b ^ c, 3);
    assert.notEqual(seed, whole);
  });

  it("isn't told before Sealed is over, though all have revealed", async () => {
    for (const index of [0, 1, 2]) await w.reveal(index, 1);
    await w.goTo(1, Proving, -1);
    assert.equal((await w.read("beaconOf", [1])).seed, ZERO);
    await w.goTo(1, Proving);
    assert.equal((await w.read("beaconOf", [1])).seed, w.seed(1));
    await w.goTo(5, Open);
    assert.equal((await w.read("beaconOf", [1])).seed, w.seed(1));
  });

  it("of a slot without any reveal, past or to come, is none", async () => {
    await w.goTo(3, Proving);
    for (const slot of [2, 3, 9]) {
      const { acc, electorate, revealed, seed } = await w.read("beaconOf", [slot]);
      assert.deepEqual([acc, electorate, revealed, seed], [ZERO, 0n, 0n, ZERO]);
    }
  });
});

describe("SyncAudit: how many reveals make a seed", () => {
  for (const [stations, required] of [
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 3],
    [5, 3],
  ]) {
    it(`${required} of ${stations} stations, and not one fewer`, async () => {
      const w = await Audit.create({ stations });
      await w.anchorAll(1);
      const revealing = [...Array(required).keys()];
      await w.openProving(1, revealing.slice(1));
      assert.equal((await w.read("beaconOf", [1])).seed, ZERO);
      await w.openProving(2, revealing);
      const beacon = await w.read("beaconOf", [2]);
      assert.deepEqual([beacon.required, beacon.seed], [required, w.seed(2)]);
    });
  }
});
