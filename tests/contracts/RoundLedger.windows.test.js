import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { getAddress } from "viem";
import {
  Consortium,
  Status,
  ZERO,
  digest,
  idOf,
  mineAt,
  nextBlockAt,
  people,
  refuses,
  setOf,
  viem,
} from "./support/consortium.js";

const A = digest("model A");

describe("RoundLedger: windows, to the second", () => {
  let c;
  let submitUntil;
  let attestUntil;
  beforeEach(async () => {
    c = await Consortium.create(3);
    await c.open(1, { minUpdates: 2 });
    ({ submitUntil, attestUntil } = await c.round());
  });
  const refusedAttestation = (status, index = 0) =>
    refuses(c.attest(index, 1, A), c.ledger, "RoundLedgerUnexpectedStatus", [c.twin, 1, status]);
  const refusedAbort = (status) =>
    refuses(c.abort(1), c.ledger, "RoundLedgerUnexpectedStatus", [c.twin, 1, status]);

  it("attesting doesn't begin before the window's end, however many but not all have submitted", async () => {
    await c.submit(0, 1);
    await c.submit(1, 1);
    await nextBlockAt(submitUntil - 1);
    await refusedAttestation(Status.Submitting);
    await mineAt(submitUntil);
    assert.equal(await c.status(), Status.Attesting);
    await c.attest(0, 1, A);
  });

  it("attesting begins with the last of all updates, within the submit window", async () => {
    for (const index of [0, 1]) await c.submit(index, 1);
    await refusedAttestation(Status.Submitting);
    await c.submit(2, 1);
    assert.equal(await c.status(), Status.Attesting);
    await c.attest(0, 1, A);
  });

  it("attesting never begins with too few updates", async () => {
    await refusedAttestation(Status.Submitting);
    await c.submit(0, 1);
    await mineAt(submitUntil - 1);
    assert.equal(await c.status(), Status.Submitting);
    await mineAt(submitUntil);
    assert.equal(await c.status(), Status.Expired);
    await refusedAttestation(Status.Expired);
  });

  it("the last second of the attest window counts, the next doesn't", async () => {
    for (const index of [0, 1]) await c.submit(index, 1);
    await nextBlockAt(attestUntil - 1);
    await c.attest(0, 1, A);
    assert.equal(await c.status(), Status.Attesting);
    await mineAt(attestUntil);
    assert.equal(await c.status(), Status.Expired);
    await refusedAttestation(Status.Expired, 1);
  });

  it("a quorum in the last second makes the round final, and time changes that no more", async () => {
    for (const index of [0, 1, 2]) await c.submit(index, 1);
    await c.attest(0, 1, A);
    await nextBlockAt(attestUntil - 1);
    await c.attest(1, 1, A);
    await mineAt(attestUntil + 1_000_000);
    assert.equal(await c.status(), Status.Final);
    await refusedAbort(Status.Final);
  });

  it("attesting that began early still ends with the windows that were announced", async () => {
    for (const index of [0, 1, 2]) await c.submit(index, 1);
    await mineAt(submitUntil);
    assert.equal(await c.status(), Status.Attesting);
    await mineAt(attestUntil - 1);
    assert.equal(await c.status(), Status.Attesting);
    await mineAt(attestUntil);
    assert.equal(await c.status(), Status.Expired);
  });

  it("nothing is aborted too early: while submitting, and in the last second of attesting", async () => {
    await refusedAbort(Status.Submitting);
    for (const index of [0, 1]) await c.submit(index, 1);
    await mineAt(submitUntil);
    await refusedAbort(Status.Attesting);
    await nextBlockAt(attestUntil - 1);
    await refusedAbort(Status.Attesting);
    await mineAt(attestUntil);
    await c.abort(1);
  });

  it("with too few updates, the round can be aborted as soon as the submit window is over", async () => {
    await c.submit(0, 1);
    await nextBlockAt(submitUntil - 1);
    await refusedAbort(Status.Submitting);
    await mineAt(submitUntil);
    await c.abort(1);
    assert.equal(await c.status(), Status.Aborted);
  });
});

describe("RoundLedger: aborted rounds", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.create(3);
  });

  it("leave the head where it is, keep their sets, and let the next round follow", async () => {
    await c.openAndSubmit(1);
    await c.attest(0, 1, A);
    await c.attest(1, 1, digest("model B"));
    await c.pastAttesting();
    const expired = await c.round();
    const end = expired.attestUntil + 10;
    await nextBlockAt(end);
    const abort = c.abort(1, people.outsider);
    await viem.assertions.emitWithArgs(abort, c.ledger, "RoundAborted", [
      c.twin,
      1,
      getAddress(people.outsider),
      setOf(0, 1, 2),
      setOf(0, 1),
    ]);
    // The time of the end takes the window's place: turns are counted from it.
    const ended = { status: Status.Aborted, minUpdates: 0, submitUntil: end, attestUntil: end + 300 };
    assert.deepEqual(await c.round(), { ...expired, ...ended });
    assert.deepEqual(await c.head(), { number: 0, model: c.genesis });
    assert.equal(await c.ledger.read.modelOf([c.twin, 1]), ZERO);
    const votes = await Promise.all([A, digest("model B"), ZERO].map((model) => c.votesFor(model)));
    assert.deepEqual(votes, [setOf(0), setOf(1), 0n]);
    await c.finish(2, A);
    assert.deepEqual(await c.head(), { number: 2, model: A });
  });

  it("are aborted once", async () => {
    await c.expireAndAbort(1);
    await refuses(c.abort(1), c.ledger, "RoundLedgerUnexpectedStatus", [c.twin, 1, Status.Aborted]);
  });

  it("take no attestation any more", async () => {
    await c.openAndSubmit(1);
    await c.pastAttesting();
    await c.abort(1);
    await refuses(c.attest(0, 1, A), c.ledger, "RoundLedgerUnexpectedStatus", [c.twin, 1, Status.Aborted]);
  });

  it("must be the newest round", async () => {
    await refuses(c.abort(1), c.ledger, "RoundLedgerUnexpectedRound", [c.twin, 0, 1]);
    await refuses(c.abort(0), c.ledger, "RoundLedgerUnexpectedStatus", [c.twin, 0, Status.None]);
    await c.expireAndAbort(1);
    await c.open(2);
    await c.pastAttesting();
    for (const number of [1, 3]) {
      await refuses(c.abort(number), c.ledger, "RoundLedgerUnexpectedRound", [c.twin, 2, number]);
    }
    const twin = idOf("unknown");
    const other = c.ledger.write.abortRound([twin, 1], { account: people.outsider });
    await refuses(other, c.ledger, "RoundLedgerUnexpectedRound", [twin, 0, 1]);
  });
});

describe("RoundLedger: lineage", () => {
  it("names the former head as parent, also across aborted rounds, and keeps every final model", async () => {
    const c = await Consortium.create(3);
    const parentOf = async (number) => {
      const [event] = await c.ledger.getEvents.RoundFinal({ twin: c.twin, round: number }, { fromBlock: 0n });
      return event.args.parent;
    };
    const m1 = await c.finish(1);
    const m2 = await c.finish(2);
    await c.expireAndAbort(3);
    await c.expireAndAbort(4);
    const m5 = await c.finish(5);
    const m6 = await c.finish(6);
    assert.equal(await parentOf(1), c.genesis);
    assert.equal(await parentOf(2), m1);
    assert.equal(await parentOf(5), m2);
    assert.equal(await parentOf(6), m5);
    const models = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((n) => c.ledger.read.modelOf([c.twin, n])));
    assert.deepEqual(models, [c.genesis, m1, m2, ZERO, ZERO, m5, m6, ZERO]);
  });
});
