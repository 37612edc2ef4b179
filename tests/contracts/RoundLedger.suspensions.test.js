import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { getAddress } from "viem";
import { Consortium, Status, ZERO, digest, people, refuses, setOf, viem } from "./support/consortium.js";

const [A, B] = ["model A", "model B"].map(digest);

describe("RoundLedger: a station suspended in mid-round", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.create(7); // quorum 5; 4 with six or fewer live
  });
  const address = (index) => getAddress(c.stations[index]);
  const submitAll = async (...indices) => {
    for (const index of indices) await c.submit(index, 1);
  };
  const attestAll = async (model, ...indices) => {
    for (const index of indices) await c.attest(index, 1, model);
  };
  const round = async (...fields) => {
    const all = await c.round();
    return fields.map((field) => all[field]);
  };

  it("loses its vote, and the quorum shrinks", async () => {
    await c.open(1);
    await submitAll(0, 1, 2, 3, 4, 5);
    await c.pastSubmitting();
    await attestAll(A, 6, 0, 1, 2);
    assert.deepEqual(await round("quorum", "live"), [5, setOf(0, 1, 2, 3, 4, 5, 6)]);
    await c.suspend(6); // it had submitted nothing: no model is void
    assert.deepEqual(await round("quorum", "live", "excluded"), [4, setOf(0, 1, 2, 3, 4, 5), 0n]);
    assert.equal(await c.votesFor(A), setOf(0, 1, 2));
    const last = c.attest(3, 1, A);
    await viem.assertions.emitWithArgs(last, c.ledger, "RoundFinal", [
      c.twin,
      1,
      c.genesis,
      A,
      setOf(0, 1, 2, 3),
      setOf(0, 1, 2, 3, 4, 5),
    ]);
  });

  it("loses its update, which voids all votes: they were for a model with it", async () => {
    await c.open(1);
    await submitAll(0, 1, 2, 3, 4, 5, 6);
    await attestAll(A, 0, 1, 2, 6);
    await c.attest(3, 1, B);
    await c.suspend(6);
    assert.deepEqual(await round("excluded", "voted", "submitted"), [setOf(6), 0n, setOf(0, 1, 2, 3, 4, 5, 6)]);
    for (const model of [A, B]) assert.equal(await c.votesFor(model), 0n);
    // Everyone votes anew, with nothing to replace; an old vote can't be moved.
    for (const [index, old] of [
      [0, A],
      [3, B],
    ]) {
      const moved = c.attest(index, 1, A, old);
      await refuses(moved, c.ledger, "RoundLedgerUnexpectedVote", [c.twin, 1, address(index), old]);
    }
    await attestAll(B, 0, 1, 2);
    assert.equal(await c.status(), Status.Attesting);
    const last = c.attest(3, 1, B);
    await viem.assertions.emitWithArgs(last, c.ledger, "RoundFinal", [
      c.twin,
      1,
      c.genesis,
      B,
      setOf(0, 1, 2, 3),
      setOf(0, 1, 2, 3, 4, 5),
    ]);
  });

  it("neither submits nor votes", async () => {
    await c.open(1);
    await c.suspend(6);
    await refuses(c.submit(6, 1), c.registry, "TwinRegistrySuspended", [address(6)]);
    await submitAll(0, 1, 2, 3, 4, 5);
    // The live have all submitted: nobody waits for the suspended.
    assert.equal(await c.status(), Status.Attesting);
    await refuses(c.attest(6, 1, A), c.registry, "TwinRegistrySuspended", [address(6)]);
  });

  it("stays excluded from the round when it is reinstated after somebody has acted, and gets its vote back", async () => {
    await c.open(1);
    await submitAll(0, 1, 2, 3, 4, 5, 6);
    await c.suspend(6);
    await c.attest(0, 1, A);
    await c.reinstate(6);
    assert.deepEqual(await round("excluded", "voted", "quorum"), [setOf(6), setOf(0), 5]);
    await c.attest(6, 1, A);
    assert.equal(await c.votesFor(A), setOf(0, 6));
    await refuses(c.submit(6, 1), c.ledger, "RoundLedgerAlreadySubmitted", [c.twin, 1, address(6)]);
  });

  it("adds no update after the first vote, though it was reinstated within the window", async () => {
    await c.open(1);
    await c.suspend(6);
    await submitAll(0, 1, 2, 3, 4, 5);
    const [attestUntil] = await round("attestUntil");
    await c.attest(0, 1, A);
    await c.reinstate(6);
    await c.submit(6, 1);
    assert.deepEqual(await round("submitted", "voted", "attestUntil"), [setOf(0, 1, 2, 3, 4, 5), setOf(0), attestUntil]);
    assert.equal(await c.status(), Status.Attesting);
  });

  it("can leave fewer updates than the round needs: then it expires at the end of its window", async () => {
    await c.open(1, { minUpdates: 2 });
    await submitAll(0, 6);
    await c.suspend(6);
    assert.equal(await c.status(), Status.Submitting);
    await c.pastSubmitting();
    assert.equal(await c.status(), Status.Expired);
    const abort = c.abort(1);
    await viem.assertions.emitWithArgs(abort, c.ledger, "RoundAborted", [
      c.twin,
      1,
      getAddress(people.outsider),
      setOf(0, 6),
      0n,
    ]);
    assert.deepEqual(await round("excluded", "status"), [setOf(6), Status.Aborted]);
  });

  it("changes nothing in a round that is over", async () => {
    await c.finish(1, A);
    const before = await c.round();
    await c.suspend(0);
    const after = await c.round();
    assert.deepEqual([after.status, after.excluded, after.voted], [Status.Final, before.excluded, before.voted]);
    assert.deepEqual(await c.head(), { number: 1, model: A });
    const tally = c.tally(1, A);
    await refuses(tally, c.ledger, "RoundLedgerUnexpectedStatus", [c.twin, 1, Status.Final]);
  });

  it("is in the next round again once reinstated, and not before", async () => {
    await c.suspend(6);
    await c.expireAndAbort(1);
    await c.open(2);
    assert.deepEqual(await round("electorate", "quorum"), [setOf(0, 1, 2, 3, 4, 5), 4]);
    await c.reinstate(6);
    await refuses(c.submit(6, 2), c.ledger, "RoundLedgerNotElector", [c.twin, 2, address(6)]);
    await c.pastAttesting();
    await c.abort(2);
    await c.open(3);
    assert.deepEqual(await round("electorate", "quorum"), [setOf(0, 1, 2, 3, 4, 5, 6), 5]);
  });
});

describe("RoundLedger: suspensions alone", () => {
  it("never hand a round to half of its electorate: two of four can't finish what needed three", async () => {
    const c = await Consortium.create(4);
    await c.open(1);
    for (const index of [0, 1]) await c.submit(index, 1);
    await c.suspend(2);
    await c.registry.write.voteSuspend([c.stations[3], digest("e")], { account: c.stations[0] });
    await c.registry.write.voteSuspend([c.stations[3], digest("e")], { account: c.stations[1] });
    const { live, quorum, status } = await c.round();
    assert.deepEqual([live, quorum, status], [setOf(0, 1), 3, Status.Attesting]);
    for (const index of [0, 1]) await c.attest(index, 1, A);
    await refuses(c.tally(1, A), c.ledger, "RoundLedgerNoQuorum", [c.twin, 1, 3, 2]);
    await c.pastAttesting();
    await c.abort(1);
    // The two that are left are the whole electorate of the next round.
    await c.open(2);
    for (const index of [0, 1]) await c.submit(index, 2);
    for (const index of [0, 1]) await c.attest(index, 2, B);
    assert.deepEqual(await c.head(), { number: 2, model: B });
  });
});

describe("RoundLedger: tally", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.create(7);
    await c.open(1);
    for (const index of [0, 1, 2, 3, 4, 5]) await c.submit(index, 1);
    await c.pastSubmitting();
    for (const index of [0, 1, 2, 3]) await c.attest(index, 1, A);
    await c.attest(4, 1, B);
  });

  it("finishes a round whose quorum has shrunk below the votes that are there; anyone may ask", async () => {
    await refuses(c.tally(1, A), c.ledger, "RoundLedgerNoQuorum", [c.twin, 1, 5, 4]);
    await c.suspend(6);
    const tally = c.tally(1, A, people.outsider);
    await viem.assertions.emitWithArgs(tally, c.ledger, "RoundFinal", [
      c.twin,
      1,
      c.genesis,
      A,
      setOf(0, 1, 2, 3),
      setOf(0, 1, 2, 3, 4, 5),
    ]);
    assert.deepEqual(await c.head(), { number: 1, model: A });
    assert.equal(await c.votesFor(B), setOf(4));
  });

  it("counts each model for itself, and no votes for what nobody voted for", async () => {
    await c.suspend(6);
    await refuses(c.tally(1, B), c.ledger, "RoundLedgerNoQuorum", [c.twin, 1, 4, 1]);
    await refuses(c.tally(1, digest("model C")), c.ledger, "RoundLedgerNoQuorum", [c.twin, 1, 4, 0]);
    await refuses(c.tally(1, ZERO), c.ledger, "RoundLedgerZeroValue", []);
  });

  it("counts no vote of a suspended station, whose update is in no model either", async () => {
    await c.attest(6, 1, B); // 6 has submitted nothing
    for (const index of [0, 1]) await c.attest(index, 1, B, A);
    await c.suspend(6);
    assert.equal(await c.votesFor(B), setOf(0, 1, 4));
    await refuses(c.tally(1, B), c.ledger, "RoundLedgerNoQuorum", [c.twin, 1, 4, 3]);
  });

  it("counts no vote from before an exclusion", async () => {
    await c.suspend(5); // its update is part of every model voted for
    await refuses(c.tally(1, A), c.ledger, "RoundLedgerNoQuorum", [c.twin, 1, 4, 0]);
  });

  it("finds the votes of a model that wasn't the first one voted for", async () => {
    for (const index of [0, 1, 2]) await c.attest(index, 1, B, A);
    await refuses(c.tally(1, B), c.ledger, "RoundLedgerNoQuorum", [c.twin, 1, 5, 4]);
    await c.suspend(6);
    await c.tally(1, B);
    assert.deepEqual(await c.head(), { number: 1, model: B });
  });

  it("is of the newest round, while it is attesting", async () => {
    for (const number of [0, 2]) {
      await refuses(c.tally(number, A), c.ledger, "RoundLedgerUnexpectedRound", [c.twin, 1, number]);
    }
    await c.pastAttesting();
    await refuses(c.tally(1, A), c.ledger, "RoundLedgerUnexpectedStatus", [c.twin, 1, Status.Expired]);
    await c.abort(1);
    await refuses(c.tally(1, A), c.ledger, "RoundLedgerUnexpectedStatus", [c.twin, 1, Status.Aborted]);
    await c.open(2);
    await refuses(c.tally(2, A), c.ledger, "RoundLedgerUnexpectedStatus", [c.twin, 2, Status.Submitting]);
  });
});
