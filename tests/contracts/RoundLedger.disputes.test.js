import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { getAddress } from "viem";
import { Consortium, Reason, Status, ZERO, accounts, digest, people, refuses, setOf, viem } from "./support/consortium.js";

const [A, B] = ["model A", "model B"].map(digest);
const E = digest("evidence");

describe("RoundLedger: disputes", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.create(4); // quorum 3
    await c.openAndSubmit(1);
  });
  const address = (index) => getAddress(c.stations[index]);
  const accusers = (index) => c.ledger.read.accusersOf([c.twin, c.stations[index]]);

  it("name the accused, the accuser and the evidence, and reject the update at quorum, not one before", async () => {
    await viem.assertions.emitWithArgs(c.dispute(0, 1, 3), c.ledger, "Disputed", [c.twin, 1, address(3), address(0), E]);
    await c.dispute(1, 1, 3);
    assert.equal(await accusers(3), setOf(0, 1));
    assert.equal((await c.round()).excluded, 0n);
    const last = c.dispute(2, 1, 3, digest("more"));
    await viem.assertions.emitWithArgs(last, c.ledger, "UpdateRejected", [
      c.twin,
      1,
      address(3),
      Reason.Quorum,
      digest("more"),
      false,
    ]);
    const { excluded, submitted, quorum, live } = await c.round();
    // The update is out, the station isn't: it keeps its vote.
    assert.deepEqual([excluded, submitted, quorum, live], [setOf(3), setOf(0, 1, 2, 3), 3, setOf(0, 1, 2, 3)]);
  });

  it("void the votes cast before the rejection, for every model, and all vote anew", async () => {
    await c.attest(0, 1, A);
    await c.attest(3, 1, A);
    await c.attest(1, 1, B);
    for (const by of [0, 1, 2]) await c.dispute(by, 1, 3);
    assert.equal((await c.round()).voted, 0n);
    for (const model of [A, B]) assert.equal(await c.votesFor(model), 0n);
    await refuses(c.tally(1, A), c.ledger, "RoundLedgerNoQuorum", [c.twin, 1, 3, 0]);
    // A vote of before isn't there to be replaced, though the same model may be voted for again.
    await refuses(c.attest(0, 1, B, A), c.ledger, "RoundLedgerUnexpectedVote", [c.twin, 1, address(0), A]);
    await refuses(c.attest(1, 1, A, B), c.ledger, "RoundLedgerUnexpectedVote", [c.twin, 1, address(1), B]);
    await c.attest(0, 1, B);
    await c.attest(1, 1, B);
    assert.equal(await c.status(), Status.Attesting);
    const last = c.attest(3, 1, B);
    await viem.assertions.emitWithArgs(last, c.ledger, "RoundFinal", [
      c.twin,
      1,
      c.genesis,
      B,
      setOf(0, 1, 3),
      setOf(0, 1, 2),
    ]);
  });

  it("void votes at each further rejection, and dissenting ones of before never come back", async () => {
    await c.attest(0, 1, A);
    await c.attest(1, 1, B); // a dissenter before the first rejection
    for (const by of [0, 1, 2]) await c.dispute(by, 1, 3);
    await c.attest(0, 1, A);
    await c.attest(1, 1, B); // and again before the second
    for (const by of [0, 1, 3]) await c.dispute(by, 1, 2);
    assert.equal((await c.round()).excluded, setOf(2, 3));
    for (const model of [A, B]) assert.equal(await c.votesFor(model), 0n);
    await c.attest(0, 1, A);
    for (const by of [1, 2]) await c.attest(by, 1, B);
    assert.equal(await c.votesFor(B), setOf(1, 2));
    assert.equal(await c.status(), Status.Attesting);
  });

  it("can be raised while others still submit, and close no window", async () => {
    await c.pastAttesting();
    await c.abort(1);
    await c.open(2);
    await c.submit(3, 2);
    for (const by of [0, 1, 2]) await c.dispute(by, 2, 3);
    assert.equal((await c.round()).excluded, setOf(3));
    await refuses(c.submit(3, 2), c.ledger, "RoundLedgerAlreadySubmitted", [c.twin, 2, address(3)]);
    for (const by of [0, 1, 2]) await c.submit(by, 2);
    assert.equal(await c.status(), Status.Attesting);
  });

  it("leave too few updates, and the round expires with its window instead of being attested", async () => {
    await c.pastAttesting();
    await c.abort(1);
    await c.open(2, { minUpdates: 4 });
    for (const by of [0, 1, 2, 3]) await c.submit(by, 2);
    assert.equal(await c.status(), Status.Attesting);
    for (const by of [0, 1, 2]) await c.dispute(by, 2, 3);
    assert.equal(await c.status(), Status.Submitting);
    await refuses(c.attest(0, 2, A), c.ledger, "RoundLedgerUnexpectedStatus", [c.twin, 2, Status.Submitting]);
    await c.pastSubmitting();
    assert.equal(await c.status(), Status.Expired);
    await c.abort(2);
  });

  it("count each accuser once, with other evidence too", async () => {
    await c.dispute(0, 1, 3);
    for (const evidence of [E, digest("more")]) {
      await refuses(c.dispute(0, 1, 3, evidence), c.ledger, "RoundLedgerAlreadyDisputed", [
        c.twin,
        1,
        address(3),
        address(0),
      ]);
    }
    assert.equal(await accusers(3), setOf(0));
  });

  it("ask for evidence", async () => {
    await refuses(c.dispute(0, 1, 3, ZERO), c.ledger, "RoundLedgerZeroValue", []);
  });

  it("ask for an update: not one of a station that submitted nothing, or only late", async () => {
    await c.pastAttesting();
    await c.abort(1);
    await c.open(2);
    await c.submit(0, 2);
    await refuses(c.dispute(0, 2, 3), c.ledger, "RoundLedgerNoUpdate", [c.twin, 2, address(3)]);
    await c.pastSubmitting();
    await c.submit(3, 2);
    await refuses(c.dispute(0, 2, 3), c.ledger, "RoundLedgerNoUpdate", [c.twin, 2, address(3)]);
    const outsider = c.ledger.write.dispute([c.twin, 2, people.outsider, E], { account: c.stations[0] });
    await refuses(outsider, c.registry, "TwinRegistryUnknownStation", [getAddress(people.outsider)]);
  });

  it("end with the rejection: nobody accuses the update again", async () => {
    for (const by of [0, 1, 2]) await c.dispute(by, 1, 3);
    for (const by of [0, 3]) {
      await refuses(c.dispute(by, 1, 3), c.ledger, "RoundLedgerAlreadyRejected", [c.twin, 1, address(3)]);
    }
  });

  it("are refused against the update of a suspended station: it counts no more anyhow", async () => {
    await c.suspend(3);
    await refuses(c.dispute(0, 1, 3), c.ledger, "RoundLedgerAlreadyRejected", [c.twin, 1, address(3)]);
  });

  it("are the electors' alone: no outsider, and no station that came in mid-round", async () => {
    for (const by of [people.outsider, people.owner, people.admin]) {
      const call = c.ledger.write.dispute([c.twin, 1, c.stations[3], E], { account: by });
      await refuses(call, c.registry, "TwinRegistryUnknownStation", [getAddress(by)]);
    }
    await c.admit(accounts[4]);
    await refuses(c.dispute(4, 1, 3), c.ledger, "RoundLedgerNotElector", [c.twin, 1, address(4)]);
  });

  it("count no accuser that was suspended since", async () => {
    await c.dispute(0, 1, 3);
    await c.dispute(1, 1, 3);
    await c.suspend(0);
    await c.dispute(2, 1, 3); // three have accused, two of them are live, and the quorum is three
    assert.equal((await c.round()).excluded, setOf(0)); // the suspended station's own update
    await c.dispute(3, 1, 3); // a station may accuse itself: it has found its own fault
    assert.equal((await c.round()).excluded, setOf(0, 3));
  });

  it("are of the newest round while it is open; later evidence needs a proof", async () => {
    for (const number of [0, 2]) {
      await refuses(c.dispute(0, number, 3), c.ledger, "RoundLedgerUnexpectedRound", [c.twin, 1, number]);
    }
    await c.pastAttesting();
    await refuses(c.dispute(0, 1, 3), c.ledger, "RoundLedgerUnexpectedStatus", [c.twin, 1, Status.Expired]);
    await c.abort(1);
    await refuses(c.dispute(0, 1, 3), c.ledger, "RoundLedgerUnexpectedStatus", [c.twin, 1, Status.Aborted]);
    await c.finish(2, A);
    await refuses(c.dispute(0, 2, 3), c.ledger, "RoundLedgerUnexpectedStatus", [c.twin, 2, Status.Final]);
  });

  it("of one round are no accusations in the next", async () => {
    await c.dispute(0, 1, 3);
    await c.dispute(1, 1, 3);
    await c.pastAttesting();
    await c.abort(1);
    await c.openAndSubmit(2);
    assert.equal(await accusers(3), 0n);
    await c.dispute(2, 2, 3);
    assert.equal((await c.round()).excluded, 0n);
  });

  it("let two of four reject nobody: a minority can't silence an honest station", async () => {
    for (const by of [2, 3]) await c.dispute(by, 1, 0);
    assert.equal((await c.round()).excluded, 0n);
    for (const by of [0, 1, 2]) await c.attest(by, 1, A);
    assert.deepEqual(await c.head(), { number: 1, model: A });
  });
});
