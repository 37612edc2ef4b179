import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { getAddress } from "viem";
import { Consortium, EPOCH, accounts, blockTime, mineAt, nextBlockAt, people, refuses, setOf, viem } from "./support/consortium.js";

const epochAfter = (time) => (Math.floor(time / EPOCH) + 1) * EPOCH;
const nextEpoch = async () => mineAt(epochAfter(await blockTime()));

describe("TwinRegistry: weights and ballots", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.bare(3);
  });

  it("records what a station hosts, on the registrar's word alone", async () => {
    const set = (by) => c.registry.write.setWeight([c.stations[1], 2n ** 64n - 1n], { account: by });
    await viem.assertions.emitWithArgs(set(people.admin), c.registry, "WeightSet", [
      getAddress(c.stations[1]),
      2n ** 64n - 1n,
    ]);
    assert.equal((await c.registry.read.stationOf([c.stations[1]])).weight, 2n ** 64n - 1n);
    const role = await c.registry.read.REGISTRAR_ROLE();
    for (const by of [c.stations[1], people.outsider]) {
      await refuses(set(by), c.registry, "AccessControlUnauthorizedAccount", [getAddress(by), role]);
    }
    const unknown = c.registry.write.setWeight([people.outsider, 1n], { account: people.admin });
    await refuses(unknown, c.registry, "TwinRegistryUnknownStation", [getAddress(people.outsider)]);
  });

  it("spills from one member of a station's record into no other", async () => {
    await c.registry.write.setWeight([c.stations[2], 2n ** 64n - 1n], { account: people.admin });
    const { registered, suspended, index, deviceCount, rosterRevision } = await c.registry.read.stationOf([c.stations[2]]);
    assert.deepEqual([registered, suspended, index, deviceCount, rosterRevision], [true, false, 2, 0, 0]);
    assert.deepEqual(await c.registry.read.electorOf([c.stations[2]]), [2, setOf(0, 1, 2)]);
  });

  it("replaces a station's ballot, and an empty one withdraws it", async () => {
    const cast = (candidates) => c.registry.write.castBallot([candidates], { account: c.stations[0] });
    await viem.assertions.emitWithArgs(cast(setOf(0, 2)), c.registry, "BallotCast", [
      getAddress(c.stations[0]),
      setOf(0, 2),
    ]);
    for (const candidates of [setOf(1), 0n]) {
      await cast(candidates);
      assert.equal(await c.registry.read.ballotOf([c.stations[0]]), candidates);
    }
  });

  it("refuses a ballot for stations that don't exist, naming only those, and one of an outsider", async () => {
    const cast = (candidates, by) => c.registry.write.castBallot([candidates], { account: by });
    const unknown = setOf(3, 63);
    await refuses(cast(setOf(0) | unknown, c.stations[0]), c.registry, "TwinRegistryUnknownCandidates", [unknown]);
    await refuses(cast(1n, people.outsider), c.registry, "TwinRegistryUnknownStation", [getAddress(people.outsider)]);
  });

  it("takes a ballot for all 64 stations", async () => {
    for (const account of accounts.slice(3, 64)) await c.admit(account);
    const all = 2n ** 64n - 1n;
    await c.registry.write.castBallot([all], { account: c.stations[0] });
    assert.equal(await c.registry.read.ballotOf([c.stations[0]]), all);
  });
});

describe("TwinRegistry: elections", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.bare(5, { minSeats: 2 });
    await nextEpoch();
  });
  const weigh = async (...weights) => {
    for (const [index, weight] of weights.entries()) {
      await c.registry.write.setWeight([c.stations[index], weight], { account: people.admin });
    }
  };
  const cast = (by, ...candidates) => c.registry.write.castBallot([setOf(...candidates)], { account: c.stations[by] });
  const elect = (seats, by = c.stations[0]) => c.registry.write.elect([seats], { account: by });
  const producers = async () => (await c.registry.read.stationSets())[1];

  it("gives the seats to those with the most hosted data behind them, not the most ballots", async () => {
    await weigh(1n, 1n, 1n, 10n, 20n);
    await cast(0, 0, 1);
    await cast(1, 0, 1);
    await cast(2, 0, 1);
    await cast(3, 2, 3);
    await cast(4, 3);
    assert.equal(await producers(), 0n);
    // Behind them: 0 and 1 have 3 each, 2 has 10, 3 has 30, 4 nothing.
    await viem.assertions.emitWithArgs(elect(2, c.stations[4]), c.registry, "Elected", [
      getAddress(c.stations[4]),
      setOf(2, 3),
    ]);
    assert.equal(await producers(), setOf(2, 3));
  });

  it("prefers the lower index of equals, also where nobody has any weight", async () => {
    await weigh(5n, 5n, 5n, 5n, 5n);
    await cast(0, 4, 2);
    await cast(1, 3);
    await elect(3);
    assert.equal(await producers(), setOf(2, 3, 4));
    await nextEpoch();
    await cast(0);
    await cast(1);
    await elect(3);
    assert.equal(await producers(), setOf(0, 1, 2));
  });

  it("adds weights beyond 64 bits without running over", async () => {
    const most = 2n ** 64n - 1n;
    await weigh(most, most, most, 1n, 1n);
    for (const by of [0, 1, 2]) await cast(by, 4);
    await cast(3, 0);
    await cast(4, 1, 0);
    await elect(2);
    assert.equal(await producers(), setOf(0, 4));
  });

  it("makes the producers the electorate of later rounds, not of the open one", async () => {
    await c.registerTwin();
    await c.setGenesis();
    await c.open(1);
    await weigh(1n, 1n, 1n, 1n, 1n);
    await cast(0, 1, 3, 4);
    await elect(3);
    assert.equal((await c.round()).electorate, setOf(0, 1, 2, 3, 4));
    await c.pastAttesting();
    await c.abort(1);
    await c.open(2);
    const round = await c.round();
    assert.deepEqual([round.electorate, round.quorum], [setOf(1, 3, 4), 2]);
    // Who has no seat opened the round, but neither submits nor votes in it.
    await refuses(c.submit(0, 2), c.ledger, "RoundLedgerNotElector", [c.twin, 2, getAddress(c.stations[0])]);
  });

  it("leaves stations without a seat in the electorate when every producer is suspended", async () => {
    await c.registerTwin();
    await weigh(1n);
    await cast(0, 3, 4);
    await elect(2);
    const electorate = async () => (await c.registry.read.openingOf([c.twin, c.stations[0]]))[0];
    await c.suspend(3);
    assert.equal(await electorate(), setOf(4));
    await nextEpoch();
    await c.suspend(4);
    assert.equal(await electorate(), setOf(0, 1, 2));
    await c.reinstate(3);
    assert.equal(await electorate(), setOf(3));
  });

  it("counts neither ballots of suspended stations nor ballots for them", async () => {
    await weigh(1n, 1n, 1n, 100n, 1n);
    await cast(3, 4);
    await cast(0, 3, 1);
    await c.suspend(3);
    await elect(2);
    assert.equal(await producers(), setOf(0, 1));
  });

  it("happens once in an epoch, to the second: nobody elects again until the ballots suit", async () => {
    const from = epochAfter(await blockTime());
    await nextBlockAt(from);
    await elect(2);
    for (const by of [c.stations[0], c.stations[1]]) {
      await refuses(elect(3, by), c.registry, "TwinRegistryTooEarly", [from + EPOCH]);
    }
    await nextBlockAt(from + EPOCH - 1);
    await refuses(elect(3), c.registry, "TwinRegistryTooEarly", [from + EPOCH]);
    await nextBlockAt(from + EPOCH);
    await elect(3);
  });

  it("has between the least seats of the consortium and all active stations", async () => {
    for (const seats of [0, 1, 6, 255]) {
      await refuses(elect(seats), c.registry, "TwinRegistryBadSeats", [2, 5, seats]);
    }
    await c.suspend(4);
    await refuses(elect(5), c.registry, "TwinRegistryBadSeats", [2, 4, 5]);
    await elect(4);
    assert.equal(await producers(), setOf(0, 1, 2, 3));
  });

  it("is refused to an outsider, the registrar included", async () => {
    for (const by of [people.outsider, people.admin]) {
      await refuses(elect(2, by), c.registry, "TwinRegistryUnknownStation", [getAddress(by)]);
    }
  });

  it("says its epoch and its least seats", async () => {
    assert.deepEqual([await c.registry.read.epoch(), await c.registry.read.minSeats()], [EPOCH, 2]);
  });

  it("works with 64 stations, each with a ballot for all", async () => {
    for (const account of accounts.slice(5, 64)) await c.admit(account);
    for (const station of c.stations) {
      await c.registry.write.castBallot([2n ** 64n - 1n], { account: station });
      await c.registry.write.setWeight([station, 2n ** 64n - 1n], { account: people.admin });
    }
    await elect(64);
    assert.equal(await producers(), 2n ** 64n - 1n);
  });
});
