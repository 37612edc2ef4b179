import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { getAddress, zeroAddress } from "viem";
import { COMMITMENTS, Consortium, Reason, digest, idOf, people, refuses, setOf, viem } from "./support/consortium.js";
import { Evidence, devices, leafOf } from "./support/evidence.js";

const [device, other] = devices;

describe("RoundLedger: a device counted twice", () => {
  let c;
  let evidence;
  beforeEach(async () => {
    c = await Consortium.create(3);
    evidence = new Evidence(c);
    await c.open(1);
  });
  const address = (index) => getAddress(c.stations[index]);
  const contribution = (station, options) => evidence.contribution(device, station, 1, options);
  const none = (call, a = device.address, b = device.address) =>
    refuses(call, c.ledger, "RoundLedgerNoDoubleCount", [a, b]);

  it("in one station's tree is the station's fault: its update is rejected", async () => {
    const first = await contribution(1);
    const second = await contribution(1, { digest: digest("a second one") });
    const submission = await evidence.submit(1, 1, [first, second]);
    const proof = evidence.proveDoubleCount(submission, first, submission, second);
    await viem.assertions.emitWithArgs(proof, c.ledger, "UpdateRejected", [
      c.twin,
      1,
      address(1),
      Reason.DoubleCount,
      leafOf(second),
      false,
    ]);
    assert.equal((await c.round()).excluded, setOf(1));
    await refuses(
      evidence.proveDoubleCount(submission, second, submission, first),
      c.ledger,
      "RoundLedgerAlreadyRejected",
      [c.twin, 1, address(1)],
    );
  });

  it("in one station's tree needs no signature of the device: the station wrote both leaves", async () => {
    const first = await contribution(1);
    const second = { ...first, examples: 1n };
    const submission = await evidence.submit(1, 1, [first, second]);
    await evidence.proveDoubleCount(submission, first, submission, second);
    assert.equal((await c.round()).excluded, setOf(1));
  });

  it("in two stations' trees is the device's fault: it is named, and neither station is rejected", async () => {
    const [a, b] = [await contribution(0), await contribution(1)];
    const [first, second] = [await evidence.submit(0, 1, [a]), await evidence.submit(1, 1, [b])];
    const proof = evidence.proveDoubleCount(first, a, second, b, { by: c.stations[2] });
    await viem.assertions.emitWithArgs(proof, c.ledger, "DeviceEquivocated", [
      c.twin,
      1,
      device.address,
      address(0),
      address(1),
    ]);
    assert.equal((await c.round()).excluded, 0n);
    await c.submit(2, 1);
    for (const index of [0, 1]) await c.attest(index, 1, digest("model"));
    assert.deepEqual(await c.head(), { number: 1, model: digest("model") });
  });

  it("by a device that sent the same update to two stations is named as well", async () => {
    const same = { digest: digest("same bytes") };
    const [a, b] = [await contribution(0, same), await contribution(1, same)];
    const [first, second] = [await evidence.submit(0, 1, [a]), await evidence.submit(1, 1, [b])];
    const proof = evidence.proveDoubleCount(first, a, second, b);
    await viem.assertions.emit(proof, c.ledger, "DeviceEquivocated");
  });

  it("by training for one round that counts in two rounds is named, too", async () => {
    const a = await contribution(0);
    const first = await evidence.submit(0, 1, [a]);
    await c.pastAttesting();
    await c.abort(1);
    await c.open(2);
    const b = await contribution(1);
    const second = await evidence.submit(1, 2, [b], { trainedRound: 1 });
    await viem.assertions.emit(evidence.proveDoubleCount(first, a, second, b), c.ledger, "DeviceEquivocated");
    assert.equal((await c.round()).excluded, 0n);
  });

  it("can't be framed: a leaf that the device didn't sign names nobody, in either place", async () => {
    const honest = await contribution(0);
    const framed = await contribution(1, { by: other });
    const [first, second] = [await evidence.submit(0, 1, [honest]), await evidence.submit(1, 1, [framed])];
    const refused = async (call, actual) =>
      refuses(call, c.ledger, "RoundLedgerBadSignature", [device.address, actual]);
    // What another key signed recovers to that key's address.
    await refused(evidence.proveDoubleCount(first, honest, second, framed), other.address);
    await refused(evidence.proveDoubleCount(second, framed, first, honest), other.address);
    assert.equal((await c.round()).excluded, 0n);
  });

  it("can't be framed by no signature at all", async () => {
    const honest = await contribution(0);
    const framed = { ...(await contribution(1)), signature: "0x" };
    const [first, second] = [await evidence.submit(0, 1, [honest]), await evidence.submit(1, 1, [framed])];
    await refuses(evidence.proveDoubleCount(first, honest, second, framed), c.ledger, "RoundLedgerBadSignature", [
      device.address,
      zeroAddress,
    ]);
  });

  it("is none when it is one leaf, shown twice", async () => {
    const once = await contribution(1);
    const submission = await evidence.submit(1, 1, [once, await evidence.contribution(other, 1, 1)]);
    await none(evidence.proveDoubleCount(submission, once, submission, once));
  });

  it("is none when two devices sent the same update: equal data gives equal updates", async () => {
    const same = { digest: digest("same bytes") };
    const a = await evidence.contribution(device, 1, 1, same);
    const b = await evidence.contribution(other, 1, 1, same);
    const submission = await evidence.submit(1, 1, [a, b]);
    await none(evidence.proveDoubleCount(submission, a, submission, b), device.address, other.address);
    assert.equal((await c.round()).excluded, 0n);
  });

  it("is none in two rounds of training: a device takes part in every round", async () => {
    const a = await contribution(1);
    const first = await evidence.submit(1, 1, [a]);
    await c.pastAttesting();
    await c.abort(1);
    await c.open(2);
    const b = await evidence.contribution(device, 1, 2);
    const second = await evidence.submit(1, 2, [b]);
    await none(evidence.proveDoubleCount(first, a, second, b));
    const elsewhere = await evidence.contribution(device, 0, 2);
    const third = await evidence.submit(0, 2, [elsewhere]);
    await none(evidence.proveDoubleCount(first, a, third, elsewhere));
  });

  it("is none when a station submits one training again for a later round", async () => {
    const a = await contribution(1);
    const first = await evidence.submit(1, 1, [a]);
    await c.pastAttesting();
    await c.abort(1);
    await c.open(2);
    const second = await evidence.submit(1, 2, [a], { trainedRound: 1 });
    await none(evidence.proveDoubleCount(first, a, second, a));
  });

  it("is none in two rounds of one station, though trained for one: each tree counts the device once", async () => {
    const a = await contribution(1);
    const first = await evidence.submit(1, 1, [a]);
    await c.pastAttesting();
    await c.abort(1);
    await c.open(2);
    const b = await contribution(1, { digest: digest("trained again") });
    const second = await evidence.submit(1, 2, [b], { trainedRound: 1 });
    await none(evidence.proveDoubleCount(first, a, second, b));
    assert.equal((await c.round()).excluded, 0n);
  });

  it("is none in two twins: a device may serve both", async () => {
    const twin = idOf("another twin");
    await c.registerTwin({ twin });
    await c.setGenesis({ twin });
    await c.open(1, { twin });
    const a = await contribution(0);
    const b = await contribution(1, { signed: { twin } });
    const first = await evidence.submit(0, 1, [a]);
    const second = await evidence.submit(1, 1, [b], { twin });
    await none(evidence.proveDoubleCount(first, a, second, b));
  });

  it("needs both leaves to be committed to, and a station to show it", async () => {
    const [a, b] = [await contribution(0), await contribution(1)];
    const [first, second] = [await evidence.submit(0, 1, [a]), await evidence.submit(1, 1, [b])];
    const absent = await contribution(1, { digest: digest("absent") });
    const args = (leaf, contributionB) => [first.recorded, a, [], second.recorded, contributionB, leaf];
    const by = { account: c.stations[2] };
    await refuses(c.ledger.write.proveDoubleCount(args([], absent), by), c.ledger, "RoundLedgerBadProof", [
      second.tree.root,
      leafOf(absent),
    ]);
    await refuses(c.ledger.write.proveDoubleCount(args([digest("x")], b), by), c.ledger, "RoundLedgerBadProof", [
      second.tree.root,
      leafOf(b),
    ]);
    const outsider = { by: people.outsider };
    await refuses(evidence.proveDoubleCount(first, a, second, b, outsider), c.registry, "TwinRegistryUnknownStation", [
      getAddress(people.outsider),
    ]);
    const altered = { ...second, recorded: { ...second.recorded, roster: digest("other") } };
    await refuses(evidence.proveDoubleCount(first, a, altered, b), c.ledger, "RoundLedgerUnknownCommitment", [
      c.twin,
      1,
      address(1),
    ]);
  });
});

describe("RoundLedger: the ring of commitments", () => {
  it("forgets a round after eight newer ones, says so, and names the oldest it knows", async () => {
    const c = await Consortium.create(2);
    const evidence = new Evidence(c);
    const forged = await evidence.contribution(device, 1, 1, { by: other });
    await c.open(1);
    const submission = await evidence.submit(1, 1, [forged]);
    await c.pastAttesting();
    await c.abort(1);
    for (let number = 2; number <= COMMITMENTS; number++) await c.expireAndAbort(number);
    // The newest is round 8: round 1 is still in its slot, and provable.
    assert.equal(await evidence.verify(submission, forged, []), false);
    await c.open(COMMITMENTS + 1);
    const gone = [c.twin, 1, 2];
    await refuses(evidence.proveForgery(submission, forged), c.ledger, "RoundLedgerCommitmentGone", gone);
    await refuses(evidence.verify(submission, forged, []), c.ledger, "RoundLedgerCommitmentGone", gone);
    await refuses(evidence.challengeInvented(submission, forged), c.ledger, "RoundLedgerCommitmentGone", gone);
    const receipt = await evidence.receipt(1, 1, digest("leaf"));
    const omitted = evidence.challengeOmitted(submission, digest("leaf"), receipt);
    await refuses(omitted, c.ledger, "RoundLedgerCommitmentGone", gone);
  });

  it("gives each station slots of its own: another's new update takes none from it", async () => {
    const c = await Consortium.create(2);
    const evidence = new Evidence(c);
    const [a, b] = [await evidence.contribution(device, 0, 1), await evidence.contribution(other, 1, 1)];
    await c.open(1);
    const [first, second] = [await evidence.submit(0, 1, [a]), await evidence.submit(1, 1, [b])];
    await c.pastAttesting();
    await c.abort(1);
    for (let number = 2; number <= COMMITMENTS; number++) {
      await c.open(number);
      await c.submit(1, number);
      await c.pastAttesting();
      await c.abort(number);
    }
    for (const [submission, leaf] of [
      [first, a],
      [second, b],
    ]) {
      // In the tree and signed; only the roster is none.
      await refuses(evidence.proveForgery(submission, leaf), c.ledger, "RoundLedgerHonestContribution", [
        leaf.device,
        leaf.digest,
      ]);
    }
  });
});
