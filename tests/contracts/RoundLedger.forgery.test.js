import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { getAddress } from "viem";
import { Consortium, Reason, Status, digest, idOf, people, refuses, setOf, viem } from "./support/consortium.js";
import { Evidence, Tree, devices, domainOf, leafOf, mirrored } from "./support/evidence.js";

const A = digest("model A");

describe("RoundLedger: proofs of forgery", () => {
  let c;
  let evidence;
  beforeEach(async () => {
    c = await Consortium.create(3);
    evidence = new Evidence(c);
    await c.open(1);
  });
  const address = (index) => getAddress(c.stations[index]);
  /** Station 1 counts two honest contributions and this one. */
  const committed = async (contribution) =>
    evidence.submit(1, 1, [...(await evidence.contributions([devices[0], devices[1]], 1, 1)), contribution]);
  const proven = async (contribution) => {
    const submission = await committed(contribution);
    await viem.assertions.emitWithArgs(evidence.proveForgery(submission, contribution), c.ledger, "UpdateRejected", [
      c.twin,
      1,
      address(1),
      Reason.Forgery,
      leafOf(contribution),
      false,
    ]);
    assert.equal((await c.round()).excluded, setOf(1));
  };
  const contribution = (options) => evidence.contribution(devices[2], 1, 1, options);

  it("reject a made-up contribution: nobody signed it", async () => {
    await proven({ device: devices[2].address, digest: digest("made up"), examples: 5n, signature: "0x" });
  });

  it("reject a contribution that another device signed", async () => {
    await proven(await contribution({ by: devices[3] }));
  });

  it("reject a contribution whose examples the station has multiplied", async () => {
    await proven({ ...(await contribution()), examples: 100_000n });
  });

  it("reject a contribution whose update the station has exchanged", async () => {
    await proven({ ...(await contribution()), digest: digest("exchanged") });
  });

  it("reject a device update replayed from an older round", async () => {
    await c.pastAttesting();
    await c.abort(1);
    await c.open(2);
    const old = await evidence.contribution(devices[2], 1, 1);
    const submission = await evidence.submit(1, 2, [old]);
    await evidence.proveForgery(submission, old);
    assert.equal((await c.round()).excluded, setOf(1));
  });

  it("reject one that was signed for another station, twin or base", async () => {
    for (const [round, signed] of [
      [1, { station: c.stations[0] }],
      [2, { twin: idOf("another twin") }],
      [3, { base: digest("another base") }],
    ]) {
      if (round > 1) await c.open(round);
      const foreign = await evidence.contribution(devices[2], 1, round, { signed });
      const submission = await evidence.submit(1, round, [foreign]);
      await evidence.proveForgery(submission, foreign);
      assert.equal((await c.round()).excluded, setOf(1));
      await c.pastAttesting();
      await c.abort(round);
    }
  });

  it("reject one that was signed for another chain", async () => {
    await proven(await contribution({ domain: domainOf(c.ledger, 1) }));
  });

  it("reject one that was signed for another consortium's ledger", async () => {
    await proven(await contribution({ domain: domainOf(c.registry) }));
  });

  it("reject the second spelling of a signature, with s in the upper half: one contribution has one leaf", async () => {
    const honest = await contribution();
    await proven({ ...honest, signature: mirrored(honest.signature) });
  });

  it("reject a signature in the short form of 64 bytes: one contribution has one leaf", async () => {
    const honest = await contribution();
    const [r, s, v] = [honest.signature.slice(2, 66), honest.signature.slice(66, 130), honest.signature.slice(130)];
    const vs = (BigInt(`0x${s}`) | (v === "1c" ? 1n << 255n : 0n)).toString(16).padStart(64, "0");
    await proven({ ...honest, signature: `0x${r}${vs}` });
  });

  it("are refuted by an honest contribution, also one of a device outside the roster", async () => {
    await evidence.setRoster(1, [devices[0], devices[1]]);
    const honest = await contribution();
    const submission = await committed(honest);
    await refuses(evidence.proveForgery(submission, honest), c.ledger, "RoundLedgerHonestContribution", [
      devices[2].address,
      honest.digest,
    ]);
    assert.equal((await c.round()).excluded, 0n);
  });

  it("need the leaf to be in the station's tree: an accuser can't forge one for it", async () => {
    const submission = await committed(await contribution());
    const forged = await contribution({ by: devices[3] });
    const other = new Tree([forged, ...submission.tree.contributions]);
    await refuses(evidence.proveForgery({ ...submission, tree: other }, forged), c.ledger, "RoundLedgerBadProof", [
      submission.tree.root,
      leafOf(forged),
    ]);
    // Nor by a short cut: the root itself as a leaf.
    await refuses(evidence.proveForgery(submission, forged, { proof: [] }), c.ledger, "RoundLedgerBadProof", [
      submission.tree.root,
      leafOf(forged),
    ]);
  });

  it("need the update as it was committed to: every altered part is unknown", async () => {
    const forged = await contribution({ by: devices[3] });
    const { recorded, tree } = await committed(forged);
    const altered = (change) => ({ ...recorded, update: { ...recorded.update, ...change } });
    const unknown = (changed, args) =>
      refuses(evidence.proveForgery({ recorded: changed, tree }, forged), c.ledger, "RoundLedgerUnknownCommitment", args);
    for (const change of [
      { trainedRound: 2 },
      { baseRound: 1 },
      { base: digest("other") },
      { update: digest("other") },
      { contributions: digest("other") },
      { examples: 1n },
    ]) {
      await unknown(altered(change), [c.twin, 1, address(1)]);
    }
    await unknown({ ...recorded, roster: digest("other") }, [c.twin, 1, address(1)]);
    await unknown({ ...recorded, station: c.stations[2] }, [c.twin, 1, address(2)]); // another station's
    await unknown(altered({ round: 2 }), [c.twin, 2, address(1)]); // another round's
    const twin = idOf("another twin");
    await unknown(altered({ twin }), [twin, 1, address(1)]);
  });

  it("know no late update: it wasn't committed to, for it counts in no model", async () => {
    const forged = await contribution({ by: devices[3] });
    await c.pastSubmitting();
    const submission = await committed(forged);
    await refuses(evidence.proveForgery(submission, forged), c.ledger, "RoundLedgerUnknownCommitment", [
      c.twin,
      1,
      address(1),
    ]);
  });

  it("come from any active station, elector or not, and from nobody else", async () => {
    const forged = await contribution({ by: devices[3] });
    const submission = await committed(forged);
    for (const by of [people.outsider, people.owner]) {
      await refuses(evidence.proveForgery(submission, forged, { by }), c.registry, "TwinRegistryUnknownStation", [
        getAddress(by),
      ]);
    }
    await c.admit(people.newOwner);
    await evidence.proveForgery(submission, forged, { by: people.newOwner });
    assert.equal((await c.round()).excluded, setOf(1));
  });

  it("void the votes cast before, and the rest go on without the update", async () => {
    const forged = await contribution({ by: devices[3] });
    const submission = await committed(forged);
    for (const index of [0, 2]) await c.submit(index, 1);
    await c.attest(1, 1, A);
    await evidence.proveForgery(submission, forged);
    assert.deepEqual([await c.votesFor(A), (await c.round()).voted], [0n, 0n]);
    const B = digest("model B");
    await c.attest(0, 1, B);
    const last = c.attest(2, 1, B);
    await viem.assertions.emitWithArgs(last, c.ledger, "RoundFinal", [c.twin, 1, c.genesis, B, setOf(0, 2), setOf(0, 2)]);
  });

  it("reject an update once, however often it is proven false", async () => {
    const forged = await contribution({ by: devices[3] });
    const submission = await committed(forged);
    await evidence.proveForgery(submission, forged);
    await refuses(evidence.proveForgery(submission, forged), c.ledger, "RoundLedgerAlreadyRejected", [
      c.twin,
      1,
      address(1),
    ]);
    for (const index of [0, 2]) await c.submit(index, 1);
    await refuses(c.dispute(0, 1, 1), c.ledger, "RoundLedgerAlreadyRejected", [c.twin, 1, address(1)]);
  });
});

describe("RoundLedger: rejections after a round's end", () => {
  let c;
  let evidence;
  let forged;
  let submission;
  beforeEach(async () => {
    c = await Consortium.create(3);
    evidence = new Evidence(c);
    await c.open(1);
    forged = await evidence.contribution(devices[2], 1, 1, { by: devices[3] });
    submission = await evidence.submit(1, 1, [forged]);
    for (const index of [0, 2]) await c.submit(index, 1);
  });
  const late = () =>
    viem.assertions.emitWithArgs(evidence.proveForgery(submission, forged), c.ledger, "UpdateRejected", [
      c.twin,
      1,
      getAddress(c.stations[1]),
      Reason.Forgery,
      leafOf(forged),
      true,
    ]);

  it("are for the record: the final model stays, its votes too", async () => {
    for (const index of [0, 2]) await c.attest(index, 1, A);
    await late();
    assert.deepEqual(await c.head(), { number: 1, model: A });
    assert.deepEqual([await c.votesFor(A), (await c.round()).excluded], [setOf(0, 2), 0n]);
  });

  it("are recorded once", async () => {
    for (const index of [0, 2]) await c.attest(index, 1, A);
    await late();
    await refuses(evidence.proveForgery(submission, forged), c.ledger, "RoundLedgerAlreadyRejected", [
      c.twin,
      1,
      getAddress(c.stations[1]),
    ]);
  });

  it("touch neither an aborted round nor the next one, where the station's new update counts", async () => {
    await c.pastAttesting();
    await c.abort(1);
    await c.openAndSubmit(2);
    await c.attest(0, 2, A);
    await late();
    assert.deepEqual([await c.votesFor(A), (await c.round()).excluded], [setOf(0), 0n]);
    assert.equal(await c.status(), Status.Attesting);
  });

  it("are in time as long as the round isn't aborted, though its windows are over", async () => {
    await c.pastAttesting();
    await evidence.proveForgery(submission, forged);
    assert.equal((await c.round()).excluded, setOf(1));
  });
});
