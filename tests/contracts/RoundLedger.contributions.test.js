import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { getAddress } from "viem";
import { Consortium, digest, refuses } from "./support/consortium.js";
import { Evidence, Tree, devices, domainOf, leafOf, mirrored, rosterOf } from "./support/evidence.js";

const enrolled = devices.slice(0, 5);
const stranger = devices[6];

describe("RoundLedger: whether a contribution was committed to", () => {
  let c;
  let evidence;
  let roster;
  beforeEach(async () => {
    c = await Consortium.create(3);
    evidence = new Evidence(c);
    roster = rosterOf(enrolled);
    await evidence.setRoster(1, enrolled);
    await c.open(1);
  });
  const inRoster = (device) => roster.getProof([device.address]);

  it("is so for every device of a tree, whatever its place, and needs no station to ask", async () => {
    const contributions = await evidence.contributions(enrolled, 1, 1);
    const submission = await evidence.submit(1, 1, contributions);
    for (const [index, contribution] of contributions.entries()) {
      assert.equal(await evidence.verify(submission, contribution, inRoster(enrolled[index])), true);
    }
  });

  it("is so for the only device of a station, whose leaf is the root", async () => {
    const [contribution] = await evidence.contributions([enrolled[0]], 1, 1);
    const submission = await evidence.submit(1, 1, [contribution]);
    assert.deepEqual(submission.tree.proof(contribution), []);
    assert.equal(submission.tree.root, leafOf(contribution));
    assert.equal(await evidence.verify(submission, contribution, inRoster(enrolled[0])), true);
  });

  it("is so for two devices with the same update and the same number of examples", async () => {
    const same = { digest: digest("same bytes") };
    const [a, b] = [
      await evidence.contribution(enrolled[0], 1, 1, same),
      await evidence.contribution(enrolled[1], 1, 1, same),
    ];
    const submission = await evidence.submit(1, 1, [a, b]);
    assert.equal(await evidence.verify(submission, a, inRoster(enrolled[0])), true);
    assert.equal(await evidence.verify(submission, b, inRoster(enrolled[1])), true);
  });

  it("is so for a stale update: its devices signed the round they trained for, and its base", async () => {
    const model = digest("model of 1");
    await c.submit(0, 1);
    await c.pastSubmitting();
    for (const index of [0, 1]) await c.attest(index, 1, model);
    await c.open(2);
    const stale = await evidence.contribution(enrolled[0], 1, 1);
    const submission = await evidence.submit(1, 2, [stale], { trainedRound: 1 });
    assert.equal(await evidence.verify(submission, stale, inRoster(enrolled[0])), true);
  });

  it("isn't for the training of one round passed off as that of another", async () => {
    const contribution = await evidence.contribution(enrolled[0], 1, 1);
    await c.pastAttesting();
    await c.abort(1);
    await c.open(2);
    const submission = await evidence.submit(1, 2, [contribution]); // says: trained for round 2
    assert.equal(await evidence.verify(submission, contribution, inRoster(enrolled[0])), false);
  });

  it("isn't for a device outside the roster, with any proof", async () => {
    const contributions = await evidence.contributions([enrolled[0], stranger], 1, 1);
    const submission = await evidence.submit(1, 1, contributions);
    for (const proof of [[], inRoster(enrolled[0]), inRoster(enrolled[1])]) {
      assert.equal(await evidence.verify(submission, contributions[1], proof), false);
    }
  });

  it("isn't for a signature that isn't the device's, that is another chain's, or that is spelled another way", async () => {
    const honest = await evidence.contribution(enrolled[0], 1, 1);
    const bad = [
      await evidence.contribution(enrolled[1], 1, 1, { by: stranger }),
      await evidence.contribution(enrolled[2], 1, 1, { domain: domainOf(c.ledger, 1) }),
      { ...honest, signature: mirrored(honest.signature) },
      { ...honest, device: enrolled[3].address, signature: "0x" },
      { ...honest, device: enrolled[4].address, signature: `${honest.signature}00` },
    ];
    const submission = await evidence.submit(1, 1, bad);
    for (const contribution of bad) {
      const device = enrolled.find(({ address }) => address === contribution.device);
      assert.equal(await evidence.verify(submission, contribution, inRoster(device)), false);
    }
  });

  it("asks the roster of the submission's time: neither an older nor a newer one", async () => {
    const contribution = await evidence.contribution(enrolled[0], 1, 1);
    const submission = await evidence.submit(1, 1, [contribution]);
    await evidence.setRoster(1, [stranger, enrolled[0]]);
    const newer = rosterOf([stranger, enrolled[0]]);
    assert.equal(await evidence.verify(submission, contribution, newer.getProof([enrolled[0].address])), false);
    assert.equal(await evidence.verify(submission, contribution, inRoster(enrolled[0])), true);
  });

  it("reverts for what isn't in the tree, and for what isn't committed to, as a proof of forgery does", async () => {
    const contributions = await evidence.contributions([enrolled[0], enrolled[1]], 1, 1);
    const submission = await evidence.submit(1, 1, contributions);
    const absent = await evidence.contribution(enrolled[2], 1, 1);
    const bad = [submission.tree.root, leafOf(absent)];
    await refuses(evidence.verify(submission, absent, [], []), c.ledger, "RoundLedgerBadProof", bad);
    const other = new Tree([...contributions, absent]);
    const invented = { recorded: { ...submission.recorded, roster: digest("x") }, tree: other };
    await refuses(evidence.verify(invented, absent, []), c.ledger, "RoundLedgerUnknownCommitment", [
      c.twin,
      1,
      getAddress(c.stations[1]),
    ]);
  });

  it("reverts for a proof that begins at an inner node: only whole paths from a leaf count", async () => {
    const contributions = await evidence.contributions(enrolled.slice(0, 4), 1, 1);
    const submission = await evidence.submit(1, 1, contributions);
    for (const contribution of contributions) {
      const [, ...short] = submission.tree.proof(contribution);
      await refuses(evidence.verify(submission, contribution, [], short), c.ledger, "RoundLedgerBadProof", [
        submission.tree.root,
        leafOf(contribution),
      ]);
    }
  });
});
