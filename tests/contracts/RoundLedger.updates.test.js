import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { getAddress } from "viem";
import {
  Consortium,
  Status,
  ZERO,
  digest,
  idOf,
  mineAfter,
  nextBlockAt,
  people,
  receiptOf,
  refuses,
  setOf,
  viem,
} from "./support/consortium.js";

/** Asserts that a submission is recorded with this staleness and lateness. */
async function records(c, submission, staleness, late) {
  const { blockNumber } = await receiptOf(submission);
  const [event, ...more] = await c.ledger.getEvents.UpdateSubmitted({}, { fromBlock: blockNumber, toBlock: blockNumber });
  assert.equal(more.length, 0);
  assert.deepEqual({ staleness: event.args.staleness, late: event.args.late }, { staleness, late });
  return event.args;
}

describe("RoundLedger: updates in time", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.create();
    await c.open(1);
  });

  it("records everything about an update in its event, and its station in the set", async () => {
    const update = c.update(c.stations[1], 1);
    await viem.assertions.emitWithArgs(c.submit(1, 1), c.ledger, "UpdateSubmitted", [
      c.twin,
      1,
      getAddress(c.stations[1]),
      1,
      0,
      c.genesis,
      update.update,
      update.contributions,
      1000n,
      0,
      false,
    ]);
    assert.equal((await c.round()).submitted, setOf(1));
  });

  it("refuses an outsider, the twin's owner included", async () => {
    for (const by of [people.outsider, people.owner]) {
      await refuses(c.submitBy(by, 1), c.registry, "TwinRegistryUnknownStation", [getAddress(by)]);
    }
  });

  it("refuses a second update of a station, the same or another, before and after the window", async () => {
    await c.submit(0, 1);
    const again = async () => {
      for (const change of [{}, { update: digest("a better one") }]) {
        await refuses(c.submit(0, 1, change), c.ledger, "RoundLedgerAlreadySubmitted", [
          c.twin,
          1,
          getAddress(c.stations[0]),
        ]);
      }
    };
    await again();
    await c.pastSubmitting();
    await again();
  });

  it("lets nobody in once all have submitted, though the window is still open", async () => {
    for (const index of [0, 1, 2]) await c.submit(index, 1);
    assert.equal(await c.status(), Status.Attesting);
    await refuses(c.submit(2, 1), c.ledger, "RoundLedgerAlreadySubmitted", [c.twin, 1, getAddress(c.stations[2])]);
  });

  it("accepts identical digests from two stations: equal training gives equal updates", async () => {
    const same = { update: digest("same"), contributions: digest("same leaves") };
    await c.submit(0, 1, same);
    await c.submit(1, 1, same);
    assert.equal((await c.round()).submitted, setOf(0, 1));
  });

  it("refuses zero values", async () => {
    const zeros = [{ base: ZERO }, { update: ZERO }, { contributions: ZERO }, { examples: 0n }, { round: 0 }];
    for (const change of zeros) await refuses(c.submit(0, 1, change), c.ledger, "RoundLedgerZeroValue", []);
  });

  it("refuses rounds that aren't open yet, and any round of a twin without rounds", async () => {
    for (const round of [2, 2 ** 32 - 1]) {
      await refuses(c.submit(0, round), c.ledger, "RoundLedgerUnexpectedRound", [c.twin, 1, round]);
    }
    const twin = idOf("unknown");
    await refuses(c.submit(0, 1, { twin }), c.ledger, "RoundLedgerUnexpectedRound", [twin, 0, 1]);
  });
});

describe("RoundLedger: bases", () => {
  let c;
  let models;
  beforeEach(async () => {
    c = await Consortium.create();
    models = [c.genesis, await c.finish(1), await c.finish(2)];
    await c.open(3);
  });
  const unexpected = (change, expected) => {
    const update = c.update(c.stations[0], 3, change);
    const args = [c.twin, update.baseRound, expected, update.base];
    return refuses(c.submit(0, 3, change), c.ledger, "RoundLedgerUnexpectedBase", args);
  };

  it("takes the head, and counts how far an older base is behind it", async () => {
    await records(c, c.submit(0, 3, { baseRound: 2, base: models[2] }), 0, false);
    await records(c, c.submit(1, 3, { baseRound: 1, base: models[1] }), 1, false);
    await records(c, c.submit(2, 3, { baseRound: 0, base: models[0] }), 2, false);
    assert.equal((await c.round()).submitted, setOf(0, 1, 2));
  });

  it("refuses a rollback: an old model passed off as a newer round's", async () => {
    await unexpected({ baseRound: 2, base: models[1] }, models[2]);
    await unexpected({ baseRound: 1, base: models[0] }, models[1]);
    await unexpected({ baseRound: 0, base: models[2] }, models[0]);
  });

  it("refuses an unknown base", async () => {
    for (const baseRound of [0, 1, 2]) {
      await unexpected({ baseRound, base: digest("invented") }, models[baseRound]);
    }
  });

  it("refuses a base of the update's own round or a future one", async () => {
    for (const baseRound of [3, 4, 2 ** 32 - 1]) {
      await unexpected({ baseRound, base: models[2] }, ZERO);
    }
  });

  it("refuses for a late update a base that its round could not have had", async () => {
    const change = { round: 1, baseRound: 1, base: models[1] };
    await refuses(c.submit(0, 1, change), c.ledger, "RoundLedgerUnexpectedBase", [c.twin, 1, ZERO, models[1]]);
    const newer = { round: 1, baseRound: 2, base: models[2] };
    await refuses(c.submit(0, 1, newer), c.ledger, "RoundLedgerUnexpectedBase", [c.twin, 2, ZERO, models[2]]);
  });

  it("never takes a model that has votes but no quorum for a base, neither before nor after the abort", async () => {
    const candidate = digest("candidate");
    for (const index of [0, 1, 2]) await c.submit(index, 3, { baseRound: 2, base: models[2] });
    await c.attest(0, 3, candidate);
    assert.equal(await c.ledger.read.modelOf([c.twin, 3]), ZERO);
    await c.pastAttesting();
    await c.abort(3);
    assert.equal(await c.ledger.read.modelOf([c.twin, 3]), ZERO);
    await c.open(4);
    const change = { baseRound: 3, base: candidate };
    await refuses(c.submit(0, 4, change), c.ledger, "RoundLedgerUnexpectedBase", [c.twin, 3, ZERO, candidate]);
    // An aborted round makes nobody stale who trained on the head.
    await records(c, c.submit(0, 4, { baseRound: 2, base: models[2] }), 0, false);
  });
});

describe("RoundLedger: late updates are recorded and not counted", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.create();
  });
  const late = async (index, round, staleness, change = {}) => {
    const { submitted } = await c.round();
    await records(c, c.submit(index, round, change), staleness, true);
    assert.equal((await c.round()).submitted, submitted);
  };

  it("in the first second after the window, and not in the last second of it", async () => {
    await c.open(1, { minUpdates: 2 });
    const { submitUntil } = await c.round();
    await c.submit(0, 1);
    await nextBlockAt(submitUntil - 1);
    await records(c, c.submit(1, 1), 0, false);
    await nextBlockAt(submitUntil);
    await late(2, 1, 0);
    assert.equal(await c.status(), Status.Attesting);
    assert.equal((await c.round()).submitted, setOf(0, 1));
  });

  it("while others attest: what is attested cannot grow", async () => {
    await c.open(1);
    await c.submit(0, 1);
    await c.pastSubmitting();
    await c.attest(0, 1, digest("m1"));
    await late(1, 1, 0);
    const last = c.attest(2, 1, digest("m1"));
    await viem.assertions.emitWithArgs(last, c.ledger, "RoundFinal", [
      c.twin,
      1,
      c.genesis,
      digest("m1"),
      setOf(0, 2),
      setOf(0),
    ]);
  });

  it("of a round that is final, also when its successor is open", async () => {
    await c.open(1);
    await c.submit(0, 1);
    await c.pastSubmitting();
    await c.attest(0, 1, digest("m1"));
    await c.attest(1, 1, digest("m1"));
    await late(2, 1, 1);
    await c.open(2);
    await late(2, 1, 1);
    await late(0, 1, 1);
  });

  it("of a round that expired, that was aborted, and that lies before an open one", async () => {
    await c.open(1);
    await c.pastAttesting();
    await late(0, 1, 0);
    await c.abort(1);
    await late(0, 1, 0);
    await c.open(2);
    await late(0, 1, 0);
    await records(c, c.submit(0, 2), 0, false);
  });

  it("of an older round, from a station that was no elector then: the event says who", async () => {
    await c.finish(1);
    await c.admit(people.newOwner);
    await refuses(c.submit(3, 1), c.ledger, "RoundLedgerNotElector", [c.twin, 1, getAddress(people.newOwner)]);
    await c.open(2);
    const args = await records(c, c.submit(3, 1), 1, true);
    assert.equal(args.station, getAddress(people.newOwner));
  });

  it("but still refuses outsiders and wrong bases", async () => {
    await c.open(1);
    await mineAfter(10_000);
    await refuses(c.submitBy(people.outsider, 1), c.registry, "TwinRegistryUnknownStation", [
      getAddress(people.outsider),
    ]);
    const change = { base: digest("invented") };
    await refuses(c.submit(0, 1, change), c.ledger, "RoundLedgerUnexpectedBase", [c.twin, 0, c.genesis, change.base]);
  });
});
