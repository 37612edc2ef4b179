import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { getAddress } from "viem";
import { Consortium, Status, ZERO, digest, people, refuses, setOf, viem } from "./support/consortium.js";

const [A, B, C] = ["model A", "model B", "model C"].map(digest);

describe("RoundLedger: votes", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.create(4); // quorum 3
    await c.openAndSubmit(1);
  });
  const address = (index) => getAddress(c.stations[index]);

  it("are recorded one by one, and read back as sets", async () => {
    await viem.assertions.emitWithArgs(c.attest(1, 1, A), c.ledger, "Attested", [c.twin, 1, address(1), A, ZERO]);
    await c.attest(2, 1, B);
    assert.equal(await c.votesFor(A), setOf(1));
    assert.equal(await c.votesFor(B), setOf(2));
    assert.equal(await c.votesFor(C), 0n);
    assert.equal(await c.votesFor(ZERO), 0n);
    assert.equal((await c.round()).voted, setOf(1, 2));
    assert.equal(await c.status(), Status.Attesting);
  });

  it("make the round final at quorum, not one before, and move the head", async () => {
    await c.attest(0, 1, A);
    await c.attest(1, 1, A);
    assert.deepEqual(await c.head(), { number: 0, model: c.genesis });
    assert.equal(await c.ledger.read.modelOf([c.twin, 1]), ZERO);
    const last = c.attest(3, 1, A);
    await viem.assertions.emitWithArgs(last, c.ledger, "RoundFinal", [
      c.twin,
      1,
      c.genesis,
      A,
      setOf(0, 1, 3),
      setOf(0, 1, 2, 3),
    ]);
    assert.deepEqual(await c.head(), { number: 1, model: A });
    assert.equal(await c.ledger.read.modelOf([c.twin, 1]), A);
    assert.equal(await c.status(), Status.Final);
    // What the views say stays true after the end.
    assert.equal(await c.votesFor(A), setOf(0, 1, 3));
    const round = await c.round();
    assert.deepEqual([round.voted, round.electorate, round.quorum], [setOf(0, 1, 3), setOf(0, 1, 2, 3), 3]);
  });

  it("are refused from an outsider", async () => {
    for (const by of [people.outsider, people.owner]) {
      await refuses(c.attestBy(by, 1, A), c.registry, "TwinRegistryUnknownStation", [getAddress(by)]);
    }
  });

  it("are refused a second time, for the same model and for another", async () => {
    await c.attest(0, 1, A);
    for (const model of [A, B]) {
      await refuses(c.attest(0, 1, model), c.ledger, "RoundLedgerAlreadyAttested", [c.twin, 1, address(0)]);
    }
    await refuses(c.attest(0, 1, A, A), c.ledger, "RoundLedgerAlreadyAttested", [c.twin, 1, address(0)]);
    assert.equal(await c.votesFor(A), setOf(0));
    assert.equal(await c.votesFor(B), 0n);
  });

  it("are refused a second time from a dissenter, for its own model and for the first", async () => {
    await c.attest(0, 1, A);
    await c.attest(1, 1, B);
    for (const model of [A, B, C]) {
      await refuses(c.attest(1, 1, model), c.ledger, "RoundLedgerAlreadyAttested", [c.twin, 1, address(1)]);
    }
    await refuses(c.attest(1, 1, B, B), c.ledger, "RoundLedgerAlreadyAttested", [c.twin, 1, address(1)]);
    assert.deepEqual(await Promise.all([A, B, C].map((model) => c.votesFor(model))), [setOf(0), setOf(1), 0n]);
  });

  it("cannot reach a quorum by one station voting often", async () => {
    await c.attest(0, 1, A);
    for (let move = 0; move < 3; move++) {
      await c.attest(0, 1, B, A);
      await c.attest(0, 1, A, B);
    }
    await c.attest(1, 1, A);
    assert.equal(await c.votesFor(A), setOf(0, 1));
    assert.equal(await c.votesFor(B), 0n);
    assert.equal(await c.status(), Status.Attesting);
  });

  it("count once when moved from the first model to another", async () => {
    await c.attest(0, 1, A);
    await viem.assertions.emitWithArgs(c.attest(0, 1, B, A), c.ledger, "Attested", [c.twin, 1, address(0), B, A]);
    assert.equal(await c.votesFor(A), 0n);
    assert.equal(await c.votesFor(B), setOf(0));
    assert.equal((await c.round()).voted, setOf(0));
    await c.attest(1, 1, A);
    await c.attest(2, 1, A);
    assert.equal(await c.status(), Status.Attesting);
    await c.attest(3, 1, A);
    assert.equal((await c.head()).model, A);
  });

  it("count once when moved to the first model, and between two others", async () => {
    await c.attest(0, 1, A);
    await c.attest(1, 1, B);
    await c.attest(1, 1, C, B);
    assert.deepEqual(await Promise.all([A, B, C].map((model) => c.votesFor(model))), [setOf(0), 0n, setOf(1)]);
    await c.attest(1, 1, A, C);
    assert.deepEqual(await Promise.all([A, B, C].map((model) => c.votesFor(model))), [setOf(0, 1), 0n, 0n]);
    assert.equal(await c.status(), Status.Attesting);
    await c.attest(2, 1, A);
    assert.equal((await c.head()).model, A);
  });

  it("can make another model final than the one voted for first, by moving", async () => {
    await c.attest(0, 1, A);
    await c.attest(1, 1, B);
    await c.attest(2, 1, B);
    const last = c.attest(0, 1, B, A);
    await viem.assertions.emitWithArgs(last, c.ledger, "RoundFinal", [
      c.twin,
      1,
      c.genesis,
      B,
      setOf(0, 1, 2),
      setOf(0, 1, 2, 3),
    ]);
    assert.deepEqual(await c.head(), { number: 1, model: B });
    assert.equal(await c.votesFor(B), setOf(0, 1, 2));
    assert.equal(await c.votesFor(A), 0n);
  });

  it("of those who lost stay readable after the end", async () => {
    await c.attest(3, 1, A);
    for (const index of [0, 1, 2]) await c.attest(index, 1, B);
    assert.deepEqual(await c.head(), { number: 1, model: B });
    assert.equal(await c.votesFor(A), setOf(3));
    assert.equal(await c.votesFor(B), setOf(0, 1, 2));
    assert.equal((await c.round()).voted, setOf(0, 1, 2, 3));
  });

  it("cannot be moved from a model that the station doesn't vote for", async () => {
    const refused = (index, model, replaced) =>
      refuses(c.attest(index, 1, model, replaced), c.ledger, "RoundLedgerUnexpectedVote", [
        c.twin,
        1,
        address(index),
        replaced,
      ]);
    await refused(0, A, B); // nobody has voted yet
    await c.attest(0, 1, A);
    await c.attest(1, 1, B);
    await refused(0, C, B); // another station's model
    await refused(1, C, A); // the first model, which is not its own
    await refused(2, C, A); // never voted
    await refused(2, B, B); // nor for the model it would move to
    await c.attest(0, 1, C, A);
    await refused(0, B, A); // the old vote a second time
    assert.deepEqual(await Promise.all([A, B, C].map((model) => c.votesFor(model))), [0n, setOf(1), setOf(0)]);
  });

  it("are refused for no model", async () => {
    await refuses(c.attest(0, 1, ZERO), c.ledger, "RoundLedgerZeroValue", []);
  });

  it("are refused for another round than the newest", async () => {
    for (const number of [0, 2]) {
      await refuses(c.attest(0, number, A), c.ledger, "RoundLedgerUnexpectedRound", [c.twin, 1, number]);
    }
  });

  it("do not carry over into the next round, for the same model either", async () => {
    await c.attest(0, 1, A);
    await c.attest(1, 1, B);
    await c.pastAttesting();
    await c.abort(1);
    await c.openAndSubmit(2);
    assert.equal((await c.round()).voted, 0n);
    for (const model of [A, B]) assert.equal(await c.votesFor(model), 0n);
    await refuses(c.attest(1, 2, A, B), c.ledger, "RoundLedgerUnexpectedVote", [c.twin, 2, address(1), B]);
    await c.attest(2, 2, A);
    await c.attest(3, 2, A);
    assert.equal(await c.status(), Status.Attesting);
    await c.attest(0, 2, A);
    assert.deepEqual(await c.head(), { number: 2, model: A });
  });

  it("may make the former head final again: a round can change nothing", async () => {
    for (const index of [0, 1, 2]) await c.attest(index, 1, c.genesis);
    assert.deepEqual(await c.head(), { number: 1, model: c.genesis });
  });

  it("are closed once the round is final, for the remaining station and for moves", async () => {
    for (const index of [0, 1, 2]) await c.attest(index, 1, A);
    const closed = (call) =>
      refuses(call, c.ledger, "RoundLedgerUnexpectedStatus", [c.twin, 1, Status.Final]);
    await closed(c.attest(3, 1, A));
    await closed(c.attest(3, 1, B));
    await closed(c.attest(0, 1, B, A));
    await closed(c.abort(1));
    assert.deepEqual(await c.head(), { number: 1, model: A });
  });

  it("come from electors that submitted nothing too: a dead station holds nobody up", async () => {
    await c.attest(0, 1, A);
    await c.attest(1, 1, A);
    await c.attest(2, 1, A);
    await c.open(2);
    for (const index of [0, 1]) await c.submit(index, 2, { baseRound: 1, base: A }); // 3 is dead, 2 only late
    await c.pastSubmitting();
    for (const index of [0, 1]) await c.attest(index, 2, B);
    const last = c.attest(2, 2, B);
    await viem.assertions.emitWithArgs(last, c.ledger, "RoundFinal", [c.twin, 2, A, B, setOf(0, 1, 2), setOf(0, 1)]);
  });
});

describe("RoundLedger: quorum", () => {
  const quorumOf = (c, electorate, live = electorate) => c.ledger.read.quorumOf([electorate, live]);

  it("is two thirds of the electorate, rounded up, for 1 to 64 stations", async () => {
    const c = await Consortium.bare(0);
    const table = [
      1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9, 10, 10, 11, 12, 12, 13, 14, 14, 15, 16, 16, 17, 18, 18, 19, 20, 20, 21,
      22, 22, 23, 24, 24, 25, 26, 26, 27, 28, 28, 29, 30, 30, 31, 32, 32, 33, 34, 34, 35, 36, 36, 37, 38, 38, 39, 40,
      40, 41, 42, 42, 43,
    ];
    assert.equal(table.length, 64);
    for (const [index, quorum] of table.entries()) {
      const electors = BigInt(index + 1);
      const low = 2n ** electors - 1n;
      assert.equal(await quorumOf(c, low), quorum, `${electors} stations`);
      // The same number of stations at the other end of the word.
      assert.equal(await quorumOf(c, low << (64n - electors)), quorum, `${electors} stations, high bits`);
    }
  });

  it("counts stations wherever their bits lie", async () => {
    const c = await Consortium.bare(0);
    for (const [set, quorum] of [
      [0x5555555555555555n, 22],
      [0xaaaaaaaaaaaaaaaan, 22],
      [0x8000000000000001n, 2],
      [0x0123456789abcdefn, 22],
      [0xf0f0f0f0f0f0f0f0n, 22],
      [setOf(0, 7, 8, 31, 32, 63), 4],
    ]) {
      assert.equal(await quorumOf(c, set), quorum, `0x${set.toString(16)}`);
    }
  });

  it("shrinks with the live electors to two thirds of them, but never to half of those at the opening", async () => {
    const c = await Consortium.bare(0);
    const first = (n) => 2n ** BigInt(n) - 1n;
    for (const [electors, table] of [
      // Quorum with n, n - 1, ... live electors.
      [3, [2, 2, 2, 2]],
      [4, [3, 3, 3, 3, 3]],
      [7, [5, 4, 4, 4, 4, 4, 4, 4]],
      [21, [14, 14, 13, 12, 12, 11, 11, 11, 11]],
      [64, [43, 42, 42, 41, 40, 40, 39, 38, 38, 37, 36, 36, 35, 34, 34, 33, 33, 33]],
    ]) {
      for (const [suspended, quorum] of table.entries()) {
        assert.equal(await quorumOf(c, first(electors), first(electors - suspended)), quorum, `${electors}, -${suspended}`);
      }
    }
    // With nobody alive no vote can be final either.
    assert.equal(await quorumOf(c, 0n), 1);
    assert.equal(await quorumOf(c, first(64), 0n), 33);
  });

  it("is reached by a single station alone, by both of two, by two of three", async () => {
    for (const [stations, quorum] of [
      [1, 1],
      [2, 2],
      [3, 2],
    ]) {
      const c = await Consortium.create(stations);
      await c.openAndSubmit(1);
      for (let index = 0; index < quorum; index++) {
        assert.equal(await c.status(), Status.Attesting);
        await c.attest(index, 1, A);
      }
      assert.equal(await c.status(), Status.Final);
    }
  });

  it("is reached by 43 of 64, the one with the highest bit among them", async () => {
    const c = await Consortium.create(64);
    await c.open(1, { minUpdates: 1 });
    await c.submit(63, 1);
    await c.pastSubmitting();
    for (let index = 63; index > 21; index--) await c.attest(index, 1, A);
    assert.equal(await c.status(), Status.Attesting);
    await c.attest(0, 1, A);
    assert.equal(await c.status(), Status.Final);
    assert.equal(await c.votesFor(A), setOf(0, ...Array.from({ length: 42 }, (_, index) => index + 22)));
  });
});
