import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { getAddress } from "viem";
import { COMMITMENTS, Consortium, digest, idOf, people, receiptOf, refuses, setOf } from "./support/consortium.js";

/** The events of one transaction, by the names of their arguments. */
async function submissions(c, hash) {
  const { blockNumber } = await receiptOf(hash);
  const events = await c.ledger.getEvents.UpdateSubmitted({}, { fromBlock: blockNumber, toBlock: blockNumber });
  return events.map((event) => event.args);
}

describe("RoundLedger: stale updates", () => {
  let c;
  let models;
  beforeEach(async () => {
    c = await Consortium.create();
    models = [c.genesis, await c.finish(1), await c.finish(2)];
    await c.open(3);
  });
  const on = (baseRound, trainedRound) => ({ baseRound, base: models[baseRound], trainedRound });

  it("count in a later round, with how stale they are: the training of a round that was missed isn't lost", async () => {
    const [event] = await submissions(c, c.submit(0, 3, on(1, 2)));
    const { round, trainedRound, baseRound, staleness, late } = event;
    assert.deepEqual({ round, trainedRound, baseRound, staleness, late }, {
      round: 3,
      trainedRound: 2,
      baseRound: 1,
      staleness: 1,
      late: false,
    });
    assert.equal((await c.round()).submitted, setOf(0));
  });

  it("may be recorded late first, and submitted again, unchanged, for the round in which they count", async () => {
    const trained = { ...on(1, 2), update: digest("one training"), contributions: digest("its leaves") };
    const [first] = await submissions(c, c.submit(0, 2, trained));
    const [second] = await submissions(c, c.submit(0, 3, trained));
    assert.deepEqual([first.late, second.late], [true, false]);
    assert.deepEqual([first.update, first.trainedRound], [second.update, second.trainedRound]);
  });

  it("may be trained for any round after their base, up to the one in which they count", async () => {
    for (const [index, [baseRound, trainedRound]] of [
      [0, 1],
      [0, 3],
      [2, 3],
    ].entries()) {
      await c.submit(index, 3, on(baseRound, trainedRound));
    }
  });

  it("are never trained for their base's own round, for an earlier one, or for the future", async () => {
    for (const [baseRound, trainedRound] of [
      [0, 0],
      [1, 0],
      [1, 1],
      [2, 2],
      [2, 1],
      [2, 4],
      [0, 2 ** 32 - 1],
    ]) {
      await refuses(c.submit(0, 3, on(baseRound, trainedRound)), c.ledger, "RoundLedgerUnexpectedTraining", [
        c.twin,
        baseRound,
        trainedRound,
        3,
      ]);
    }
    // A late one for round 2 wasn't trained for round 3 either.
    const late = c.submit(0, 2, on(1, 3));
    await refuses(late, c.ledger, "RoundLedgerUnexpectedTraining", [c.twin, 1, 3, 2]);
  });
});

describe("RoundLedger: updates of several twins in one transaction", () => {
  let c;
  let twins;
  beforeEach(async () => {
    c = await Consortium.create();
    twins = [c.twin];
    for (const name of ["second", "third"]) {
      const twin = idOf(name);
      twins.push(twin);
      await c.registerTwin({ twin });
      await c.setGenesis({ twin });
    }
    for (const twin of twins) await c.open(1, { twin });
  });
  const updates = (index, change = () => ({})) =>
    twins.map((twin, at) => c.update(c.stations[index], 1, { twin, ...change(at) }));
  const submit = (index, list) => c.ledger.write.submitUpdates([list], { account: c.stations[index] });
  const submitted = () =>
    Promise.all(twins.map(async (twin) => (await c.ledger.read.roundOf([twin])).submitted));

  it("are each recorded as one alone would be", async () => {
    const events = await submissions(c, submit(1, updates(1)));
    assert.deepEqual(
      events.map(({ twin, station, late }) => ({ twin, station, late })),
      twins.map((twin) => ({ twin, station: getAddress(c.stations[1]), late: false })),
    );
    assert.deepEqual(await submitted(), [setOf(1), setOf(1), setOf(1)]);
  });

  it("are recorded all or none: one bad update takes the others with it", async () => {
    const bad = updates(0, (at) => (at === 2 ? { base: digest("invented") } : {}));
    await refuses(submit(0, bad), c.ledger, "RoundLedgerUnexpectedBase", [twins[2], 0, c.genesis, digest("invented")]);
    assert.deepEqual(await submitted(), [0n, 0n, 0n]);
    await submit(0, updates(0));
  });

  it("give no station two updates in a round", async () => {
    const [update] = updates(0);
    const twice = submit(0, [update, { ...update, update: digest("a better one") }]);
    await refuses(twice, c.ledger, "RoundLedgerAlreadySubmitted", [twins[0], 1, getAddress(c.stations[0])]);
  });

  it("may be late for one twin and in time for another", async () => {
    await c.pastAttesting();
    await c.ledger.write.abortRound([twins[0], 1], { account: people.outsider });
    await c.open(2, { twin: twins[0] });
    const list = [c.update(c.stations[0], 2), c.update(c.stations[0], 1, { twin: twins[1] })];
    const events = await submissions(c, submit(0, list));
    assert.deepEqual(events.map(({ late }) => late), [false, true]);
  });

  it("are refused to an outsider, and an empty list of a station's does nothing", async () => {
    for (const list of [updates(0), []]) {
      const call = c.ledger.write.submitUpdates([list], { account: people.outsider });
      await refuses(call, c.registry, "TwinRegistryUnknownStation", [getAddress(people.outsider)]);
    }
    assert.deepEqual(await submissions(c, submit(0, [])), []);
  });
});

describe("RoundLedger: commitments", () => {
  it("are kept for as many rounds as the ledger says", async () => {
    const { ledger } = await Consortium.bare(0);
    assert.equal(await ledger.read.COMMITMENTS(), COMMITMENTS);
  });
});
