import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { getAddress } from "viem";
import { Consortium, EPOCH, ZERO, accounts, blockTime, digest, mineAt, people, refuses, setOf, viem } from "./support/consortium.js";

const E = digest("evidence");
/** Mines a block at the first second of the next epoch, which begin at multiples of their length. */
const nextEpoch = async () => mineAt((Math.floor((await blockTime()) / EPOCH) + 1) * EPOCH);

describe("TwinRegistry: suspension by the guardian", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.bare(7);
    await nextEpoch();
  });
  const address = (index) => getAddress(c.stations[index]);
  const active = async () => (await c.registry.read.stationSets())[0];

  it("takes a station out of the active set at once, and says by whom and why", async () => {
    await viem.assertions.emitWithArgs(c.suspend(2, E), c.registry, "StationSuspended", [
      address(2),
      getAddress(people.admin),
      E,
    ]);
    assert.equal(await active(), setOf(0, 1, 3, 4, 5, 6));
    const station = await c.registry.read.stationOf([c.stations[2]]);
    assert.deepEqual([station.registered, station.suspended, station.index], [true, true, 2]);
    // The index stays taken: its bit in old events means this station for ever.
    assert.equal(await c.registry.read.stationAt([2]), address(2));
    assert.equal(await c.registry.read.stationCount(), 7);
  });

  it("is the guardian's alone: no station, no outsider, and no registrar without the role", async () => {
    const role = await c.registry.read.GUARDIAN_ROLE();
    await c.registry.write.grantRole([await c.registry.read.REGISTRAR_ROLE(), people.newOwner], { account: people.admin });
    for (const by of [c.stations[0], people.outsider, people.newOwner]) {
      const call = c.registry.write.suspendStation([c.stations[1], E], { account: by });
      await refuses(call, c.registry, "AccessControlUnauthorizedAccount", [getAddress(by), role]);
    }
  });

  it("asks for evidence, a registered station, and one that isn't suspended yet", async () => {
    await refuses(c.suspend(0, ZERO), c.registry, "TwinRegistryZeroValue", []);
    const unknown = c.registry.write.suspendStation([people.outsider, E], { account: people.admin });
    await refuses(unknown, c.registry, "TwinRegistryUnknownStation", [getAddress(people.outsider)]);
    await c.suspend(0);
    await refuses(c.suspend(0), c.registry, "TwinRegistrySuspended", [address(0)]);
  });

  it("takes everything from a suspended station: roster, ballot, election, votes, rounds", async () => {
    await c.registerTwin();
    await c.setGenesis();
    await c.open(1, { by: c.stations[1] });
    await c.suspend(0);
    const by = { account: c.stations[0] };
    for (const call of [
      () => c.registry.write.setRoster([digest("root"), 1], by),
      () => c.registry.write.castBallot([1n], by),
      () => c.registry.write.elect([1], by),
      () => c.registry.write.voteSuspend([c.stations[1], E], by),
      () => c.registry.read.submitterOf([c.stations[0]]),
      () => c.registry.read.electorOf([c.stations[0]]),
      () => c.registry.read.electorsOf([[c.stations[2], c.stations[0]]]),
      () => c.registry.read.openingOf([c.twin, c.stations[0]]),
      () => c.open(2),
      () => c.submit(0, 1),
      () => c.ledger.write.submitUpdates([[]], by),
      () => c.attest(0, 1, digest("model")),
      () => c.dispute(0, 1, 1),
    ]) {
      await refuses(call(), c.registry, "TwinRegistrySuspended", [address(0)]);
    }
  });

  it("ends at a third of the stations in one epoch: a stolen guardian's key doesn't choose the quorum", async () => {
    assert.equal(await c.registry.read.suspensionsPerEpoch(), 2);
    await c.suspend(0);
    await c.suspend(1);
    await refuses(c.suspend(2), c.registry, "TwinRegistrySuspensionCap", [2]);
    // Reinstating gives nothing back of the cap.
    await c.reinstate(0);
    await refuses(c.suspend(2), c.registry, "TwinRegistrySuspensionCap", [2]);
    await nextEpoch();
    await c.suspend(2);
    await c.suspend(3);
    await refuses(c.suspend(4), c.registry, "TwinRegistrySuspensionCap", [2]);
    assert.equal(await active(), setOf(0, 4, 5, 6));
  });

  it("is capped at a third rounded down, and at one station at least", async () => {
    const bare = await Consortium.bare(0);
    const caps = [];
    for (const account of accounts.slice(0, 9)) {
      await bare.admit(account);
      caps.push(await bare.registry.read.suspensionsPerEpoch());
    }
    assert.deepEqual(caps, [1, 1, 1, 1, 1, 2, 2, 2, 3]);
  });
});

describe("TwinRegistry: reinstatement", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.bare(3);
    await c.suspend(1);
  });
  const address = (index) => getAddress(c.stations[index]);

  it("gives a station back what it could do, under the same index", async () => {
    await viem.assertions.emitWithArgs(c.reinstate(1), c.registry, "StationReinstated", [
      address(1),
      getAddress(people.admin),
    ]);
    assert.equal((await c.registry.read.stationSets())[0], setOf(0, 1, 2));
    assert.deepEqual(await c.registry.read.electorOf([c.stations[1]]), [1, setOf(0, 1, 2)]);
    assert.equal(await c.registry.read.electorsOf([[c.stations[2], c.stations[1]]]), setOf(1, 2));
    assert.equal((await c.registry.read.stationOf([c.stations[1]])).suspended, false);
  });

  it("is the registrar's: not the guardian's, and not the station's own", async () => {
    const role = await c.registry.read.REGISTRAR_ROLE();
    await c.registry.write.grantRole([await c.registry.read.GUARDIAN_ROLE(), people.newOwner], { account: people.admin });
    for (const by of [people.newOwner, c.stations[1], c.stations[0]]) {
      const call = c.registry.write.reinstateStation([c.stations[1]], { account: by });
      await refuses(call, c.registry, "AccessControlUnauthorizedAccount", [getAddress(by), role]);
    }
  });

  it("asks for a suspended station", async () => {
    await refuses(c.reinstate(0), c.registry, "TwinRegistryNotSuspended", [address(0)]);
    const unknown = c.registry.write.reinstateStation([people.outsider], { account: people.admin });
    await refuses(unknown, c.registry, "TwinRegistryUnknownStation", [getAddress(people.outsider)]);
  });

  it("is no way around the register: a suspended station isn't admitted a second time", async () => {
    const again = c.registry.write.registerStation([c.stations[1]], { account: people.admin });
    await refuses(again, c.registry, "TwinRegistryAlreadyRegistered", [address(1)]);
  });
});

describe("TwinRegistry: suspension by the stations' votes", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.bare(4); // three votes of four suspend
    await nextEpoch();
  });
  const address = (index) => getAddress(c.stations[index]);
  const vote = (by, accused, evidence = E) =>
    c.registry.write.voteSuspend([c.stations[accused], evidence], { account: c.stations[by] });
  const votes = (accused) => c.registry.read.suspensionVotes([c.stations[accused]]);
  const suspended = async (index) => (await c.registry.read.stationOf([c.stations[index]])).suspended;

  it("needs a quorum, names each voter and then the one whose vote decided", async () => {
    await viem.assertions.emitWithArgs(vote(0, 3), c.registry, "SuspensionVoted", [address(3), address(0), E]);
    await vote(1, 3);
    assert.equal(await votes(3), setOf(0, 1));
    assert.equal(await suspended(3), false);
    const last = vote(2, 3, digest("more evidence"));
    await viem.assertions.emitWithArgs(last, c.registry, "StationSuspended", [
      address(3),
      address(2),
      digest("more evidence"),
    ]);
    assert.equal(await suspended(3), true);
  });

  it("cannot be reached by one station voting twice", async () => {
    await vote(0, 3);
    for (const evidence of [E, digest("other evidence")]) {
      await refuses(vote(0, 3, evidence), c.registry, "TwinRegistryAlreadyVoted", [address(0), address(3)]);
    }
    assert.equal(await votes(3), setOf(0));
  });

  it("gives the accused no vote of its own, though it counts among the stations", async () => {
    await refuses(vote(3, 3), c.registry, "TwinRegistryOwnSuspension", [address(3)]);
    const pair = await Consortium.bare(2);
    // Two stations: ceil(4/3) = 2 votes, and only one station may cast any.
    await pair.registry.write.voteSuspend([pair.stations[1], E], { account: pair.stations[0] });
    assert.equal((await pair.registry.read.stationOf([pair.stations[1]])).suspended, false);
  });

  it("is open to active stations alone, with evidence, against an active station", async () => {
    for (const by of [people.outsider, people.admin]) {
      const call = c.registry.write.voteSuspend([c.stations[0], E], { account: by });
      await refuses(call, c.registry, "TwinRegistryUnknownStation", [getAddress(by)]);
    }
    await refuses(vote(0, 1, ZERO), c.registry, "TwinRegistryZeroValue", []);
    const unknown = c.registry.write.voteSuspend([people.outsider, E], { account: c.stations[0] });
    await refuses(unknown, c.registry, "TwinRegistryUnknownStation", [getAddress(people.outsider)]);
    await c.suspend(1);
    await refuses(vote(0, 1), c.registry, "TwinRegistrySuspended", [address(1)]);
    await refuses(vote(1, 0), c.registry, "TwinRegistrySuspended", [address(1)]);
  });

  it("counts no vote of a station that was suspended after it had voted", async () => {
    const five = await Consortium.bare(5); // four of five; three of four
    const against = (by) => five.registry.write.voteSuspend([five.stations[4], E], { account: five.stations[by] });
    await against(0);
    await against(1);
    await five.suspend(0);
    await against(2);
    assert.equal((await five.registry.read.stationOf([five.stations[4]])).suspended, false);
    await against(3);
    assert.equal((await five.registry.read.stationOf([five.stations[4]])).suspended, true);
  });

  it("isn't held up by the guardian's cap, and takes nothing from it", async () => {
    await c.suspend(0); // the cap of four stations
    for (const by of [1, 2]) await vote(by, 3); // two of the three left
    assert.equal(await suspended(3), true);
    await refuses(c.suspend(1), c.registry, "TwinRegistrySuspensionCap", [1]);
  });

  it("begins anew after a reinstatement: old votes are spent, and the same voters may vote again", async () => {
    for (const by of [0, 1, 2]) await vote(by, 3);
    await c.reinstate(3);
    assert.equal(await votes(3), 0n);
    await vote(0, 3);
    assert.equal(await votes(3), setOf(0));
    assert.equal(await suspended(3), false);
    for (const by of [1, 2]) await vote(by, 3);
    assert.equal(await suspended(3), true);
  });

  it("keeps accusations of two stations apart", async () => {
    await vote(0, 3);
    await vote(1, 2);
    await vote(3, 2);
    assert.deepEqual([await votes(2), await votes(3)], [setOf(1, 3), setOf(0)]);
    assert.deepEqual([await suspended(2), await suspended(3)], [false, false]);
  });
});
