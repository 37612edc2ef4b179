import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { getAddress, zeroAddress } from "viem";
import {
  Consortium,
  POLICY,
  Status,
  ZERO,
  accounts,
  digest,
  idOf,
  nextBlockAt,
  people,
  refuses,
  setOf,
  viem,
} from "./support/consortium.js";

describe("RoundLedger: genesis", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.bare();
    await c.registerTwin();
  });

  it("cannot be deployed without a registry", async () => {
    await refuses(viem.deployContract("RoundLedger", [zeroAddress]), c.ledger, "RoundLedgerZeroValue", []);
  });

  it("names its registry", async () => {
    assert.equal(await c.ledger.read.registry(), getAddress(c.registry.address));
  });

  it("is the model of round 0 and the first head", async () => {
    assert.deepEqual(await c.head(), { number: 0, model: ZERO });
    await viem.assertions.emitWithArgs(c.setGenesis(), c.ledger, "Genesis", [
      c.twin,
      c.genesis,
      getAddress(people.owner),
    ]);
    assert.deepEqual(await c.head(), { number: 0, model: c.genesis });
    assert.equal(await c.ledger.read.modelOf([c.twin, 0]), c.genesis);
    assert.equal(await c.status(), Status.None);
  });

  it("is refused from anyone but the twin's owner, stations and admin included", async () => {
    for (const by of [people.outsider, c.stations[0], people.admin]) {
      await refuses(c.setGenesis({ by }), c.ledger, "RoundLedgerNotTwinOwner", [c.twin, getAddress(by)]);
    }
  });

  it("follows the twin to its new owner", async () => {
    await c.registry.write.transferTwin([c.twin, people.newOwner], { account: people.owner });
    await refuses(c.setGenesis(), c.ledger, "RoundLedgerNotTwinOwner", [c.twin, getAddress(people.owner)]);
    await c.setGenesis({ by: people.newOwner });
  });

  it("is set once, by the owner too, and also after rounds", async () => {
    await c.setGenesis();
    const again = () => c.setGenesis({ model: digest("another genesis") });
    await refuses(again(), c.ledger, "RoundLedgerGenesisExists", [c.twin]);
    await c.finish(1);
    await refuses(again(), c.ledger, "RoundLedgerGenesisExists", [c.twin]);
    assert.equal(await c.ledger.read.modelOf([c.twin, 0]), c.genesis);
  });

  it("is refused when zero or for an unknown twin", async () => {
    await refuses(c.setGenesis({ model: ZERO }), c.ledger, "RoundLedgerZeroValue", []);
    const twin = idOf("unknown");
    await refuses(c.setGenesis({ twin }), c.registry, "TwinRegistryUnknownTwin", [twin]);
  });

  it("must be there before the first round", async () => {
    await refuses(c.open(1), c.ledger, "RoundLedgerNoGenesis", [c.twin]);
  });
});

describe("RoundLedger: opening a round", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.create(4, { ...POLICY, minUpdates: 2 });
  });
  const open = (number, options = {}) => c.open(number, { minUpdates: 2, ...options });

  it("takes the stations of this moment, the windows from this block's time, and any station as opener", async () => {
    const now = 4_000_000_000; // beyond 2^31: times are unsigned
    await nextBlockAt(now);
    const opening = open(1, { by: c.stations[2], submitFor: 600, attestFor: 300, minUpdates: 3 });
    await viem.assertions.emitWithArgs(opening, c.ledger, "RoundOpened", [
      c.twin,
      1,
      getAddress(c.stations[2]),
      setOf(0, 1, 2, 3),
      now + 600,
      300,
      3,
    ]);
    assert.deepEqual(await c.round(), {
      number: 1,
      status: Status.Submitting,
      submitUntil: now + 600,
      attestUntil: now + 900,
      minUpdates: 3,
      quorum: 3,
      electorate: setOf(0, 1, 2, 3),
      live: setOf(0, 1, 2, 3),
      submitted: 0n,
      excluded: 0n,
      voted: 0n,
    });
  });

  it("is refused to an outsider, the twin's owner and the admin included", async () => {
    for (const by of [people.outsider, people.owner, people.admin]) {
      await refuses(open(1, { by }), c.registry, "TwinRegistryUnknownStation", [getAddress(by)]);
    }
  });

  it("is refused for an unknown twin", async () => {
    const twin = idOf("unknown");
    await refuses(open(1, { twin }), c.registry, "TwinRegistryUnknownTwin", [twin]);
  });

  it("skips no round", async () => {
    for (const number of [0, 2, 2 ** 32 - 1]) {
      await refuses(open(number), c.ledger, "RoundLedgerUnexpectedRound", [c.twin, 1, number]);
    }
  });

  it("opens no round twice, and none beside an open one, in each of its states", async () => {
    const isOpen = async (status) => {
      assert.equal(await c.status(), status);
      for (const number of [1, 2]) await refuses(open(number), c.ledger, "RoundLedgerRoundOpen", [c.twin, 1]);
    };
    await open(1);
    await isOpen(Status.Submitting);
    for (const index of c.stations.keys()) await c.submit(index, 1);
    await isOpen(Status.Attesting);
    await c.pastAttesting();
    await isOpen(Status.Expired);
  });

  it("replays no round, neither a final nor an aborted one", async () => {
    await open(1);
    for (const index of c.stations.keys()) await c.submit(index, 1);
    for (const index of [0, 1, 2]) await c.attest(index, 1, digest("m1"));
    for (const number of [0, 1, 3]) {
      await refuses(open(number), c.ledger, "RoundLedgerUnexpectedRound", [c.twin, 2, number]);
    }
    await open(2);
    await c.pastAttesting();
    await c.abort(2);
    for (const number of [1, 2, 4]) {
      await refuses(open(number), c.ledger, "RoundLedgerUnexpectedRound", [c.twin, 3, number]);
    }
    await open(3);
  });

  it("refuses windows shorter than the twin's policy, and takes the shortest and the longest", async () => {
    const args = [c.twin, POLICY.minSubmitFor, POLICY.minAttestFor];
    await refuses(open(1, { submitFor: POLICY.minSubmitFor - 1 }), c.ledger, "RoundLedgerWindowTooShort", args);
    await refuses(open(1, { attestFor: POLICY.minAttestFor - 1 }), c.ledger, "RoundLedgerWindowTooShort", args);
    await refuses(open(1, { submitFor: 0, attestFor: 0 }), c.ledger, "RoundLedgerWindowTooShort", args);
    await open(1, { submitFor: POLICY.minSubmitFor, attestFor: POLICY.minAttestFor });
    await c.pastAttesting();
    await c.abort(1);
    await open(2, { submitFor: 2 ** 24 - 1, attestFor: 2 ** 24 - 1 });
    const round = await c.round();
    assert.equal(round.attestUntil - round.submitUntil, 2 ** 24 - 1);
    assert.equal(round.electorate, setOf(0, 1, 2, 3));
  });

  it("takes as least number of updates what lies between the policy's and the electorate", async () => {
    for (const minUpdates of [0, 1, 5, 255]) {
      await refuses(open(1, { minUpdates }), c.ledger, "RoundLedgerBadMinUpdates", [c.twin, 2, 4, minUpdates]);
    }
    await open(1, { minUpdates: 4 });
  });

  it("gives a station added in mid-round neither update nor vote, but both in the next", async () => {
    await open(1);
    await c.admit(accounts[4]);
    const refused = (call) =>
      refuses(call, c.ledger, "RoundLedgerNotElector", [c.twin, 1, getAddress(accounts[4])]);
    await refused(c.submit(4, 1));
    for (const index of [0, 1, 2, 3]) await c.submit(index, 1);
    // Four of four have submitted: the fifth neither holds attesting back nor takes part in it.
    await refused(c.attest(4, 1, digest("m1")));
    await refused(c.submit(4, 1));
    for (const index of [0, 1, 2]) await c.attest(index, 1, digest("m1"));
    assert.equal((await c.round()).electorate, setOf(0, 1, 2, 3));

    await open(2);
    assert.equal((await c.round()).electorate, setOf(0, 1, 2, 3, 4));
    await c.submit(4, 2, { baseRound: 1, base: digest("m1") });
    assert.equal((await c.round()).submitted, setOf(4));
  });

  it("keeps twins apart: each has its own rounds, votes and head", async () => {
    const other = idOf("other twin");
    await c.registerTwin({ twin: other });
    await c.setGenesis({ twin: other, model: digest("other genesis") });
    await open(1);
    await open(1, { twin: other });
    for (const index of c.stations.keys()) await c.submit(index, 1);
    for (const index of [0, 1, 2]) await c.attest(index, 1, digest("m1"));
    assert.deepEqual(await c.ledger.read.head([other]), [0, digest("other genesis")]);
    const round = await c.ledger.read.roundOf([other]);
    assert.deepEqual([round.status, round.submitted, round.voted], [Status.Submitting, 0n, 0n]);
    assert.equal(await c.ledger.read.votesFor([other, digest("m1")]), 0n);
    // A base of another twin is an unknown base.
    const foreign = { twin: other, base: c.genesis };
    await refuses(c.submit(0, 1, foreign), c.ledger, "RoundLedgerUnexpectedBase", [
      other,
      0,
      digest("other genesis"),
      c.genesis,
    ]);
  });
});
