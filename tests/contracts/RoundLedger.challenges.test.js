import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { getAddress, zeroAddress } from "viem";
import {
  Consortium,
  Reason,
  blockTime,
  digest,
  mineAt,
  nextBlockAt,
  people,
  refuses,
  setOf,
  viem,
} from "./support/consortium.js";
import { Evidence, devices, domainOf, leafOf, mirrored, rosterLeaf, rosterOf } from "./support/evidence.js";

const [insider, second, stranger] = devices;
const ATTEST_FOR = 300;
const ANSWER_FOR = ATTEST_FOR / 2;

describe("RoundLedger: challenges", () => {
  let c;
  let evidence;
  let roster;
  let submission; // of station 1: an enrolled device, and one that isn't
  let honest;
  let invented;
  beforeEach(async () => {
    c = await Consortium.create(3);
    evidence = new Evidence(c);
    roster = rosterOf([insider, second]);
    await evidence.setRoster(1, [insider, second]);
    await c.open(1);
    [honest, invented] = await evidence.contributions([insider, stranger], 1, 1);
    submission = await evidence.submit(1, 1, [honest, invented]);
  });
  const address = (index) => getAddress(c.stations[index]);
  const until = (root, leaf) => c.ledger.read.challengeUntil([c.twin, 1, c.stations[1], root, leaf]);
  const rejected = (call, leaf, late = false) =>
    viem.assertions.emitWithArgs(call, c.ledger, "UpdateRejected", [
      c.twin,
      1,
      address(1),
      Reason.Challenge,
      leaf,
      late,
    ]);
  const outsiderRefused = (call) =>
    refuses(call, c.registry, "TwinRegistryUnknownStation", [getAddress(people.outsider)]);

  describe("of an invented device", () => {
    it("ask for the device's place in the roster of that time, and give half the attest window to answer", async () => {
      const now = (await blockTime()) + 5;
      await nextBlockAt(now);
      const challenge = evidence.challengeInvented(submission, invented);
      const leaf = rosterLeaf(stranger);
      await viem.assertions.emitWithArgs(challenge, c.ledger, "Challenged", [
        c.twin,
        1,
        address(1),
        roster.root,
        leaf,
        now + ANSWER_FOR,
      ]);
      assert.equal(await until(roster.root, leaf), now + ANSWER_FOR);
      assert.equal((await c.round()).excluded, 0n); // an accusation alone rejects nothing
    });

    it("are lost by a station that counted a device outside its roster: nobody has an answer", async () => {
      const leaf = rosterLeaf(stranger);
      await evidence.challengeInvented(submission, invented);
      const answerUntil = await until(roster.root, leaf);
      await refuses(evidence.answer(submission, roster.root, leaf, roster.getProof(0)), c.ledger, "RoundLedgerBadProof", [
        roster.root,
        leaf,
      ]);
      await nextBlockAt(answerUntil - 1);
      const early = evidence.settle(submission, roster.root, leaf);
      await refuses(early, c.ledger, "RoundLedgerChallengeOpen", [answerUntil]);
      await nextBlockAt(answerUntil);
      await rejected(evidence.settle(submission, roster.root, leaf), leaf);
      assert.equal((await c.round()).excluded, setOf(1));
      assert.equal(await until(roster.root, leaf), 0);
    });

    it("are answered by anyone with the roster, and never come again", async () => {
      const leaf = rosterLeaf(insider);
      await evidence.challengeInvented(submission, honest);
      const proof = roster.getProof([insider.address]);
      const answer = evidence.answer(submission, roster.root, leaf, proof, people.outsider);
      await viem.assertions.emitWithArgs(answer, c.ledger, "ChallengeAnswered", [c.twin, 1, address(1), roster.root, leaf]);
      assert.equal(await until(roster.root, leaf), 0);
      const over = [roster.root, leaf];
      await refuses(evidence.challengeInvented(submission, honest), c.ledger, "RoundLedgerChallengeExists", over);
      await refuses(evidence.answer(submission, roster.root, leaf, proof), c.ledger, "RoundLedgerNoChallenge", over);
      await c.pastAttesting();
      await refuses(evidence.settle(submission, roster.root, leaf), c.ledger, "RoundLedgerNoChallenge", over);
      assert.equal((await c.round()).excluded, 0n);
    });

    it("may be answered after their time, until somebody settles them", async () => {
      const leaf = rosterLeaf(insider);
      await evidence.challengeInvented(submission, honest);
      await mineAt((await until(roster.root, leaf)) + 1000);
      await evidence.answer(submission, roster.root, leaf, roster.getProof([insider.address]));
      await refuses(evidence.settle(submission, roster.root, leaf), c.ledger, "RoundLedgerNoChallenge", [
        roster.root,
        leaf,
      ]);
    });

    it("can't be answered with a later roster: the one of the submission stands in the commitment", async () => {
      const leaf = rosterLeaf(stranger);
      await evidence.setRoster(1, [insider, second, stranger]); // after the fact
      const later = rosterOf([insider, second, stranger]);
      await evidence.challengeInvented(submission, invented);
      const answer = evidence.answer(submission, later.root, leaf, later.getProof([stranger.address]));
      await refuses(answer, c.ledger, "RoundLedgerNoChallenge", [later.root, leaf]);
      const wrong = evidence.answer(submission, roster.root, leaf, later.getProof([stranger.address]));
      await refuses(wrong, c.ledger, "RoundLedgerBadProof", [roster.root, leaf]);
    });

    it("hurt no station whose device left the roster later: a stolen key is taken out for the future", async () => {
      await evidence.setRoster(1, [second]);
      await evidence.challengeInvented(submission, honest);
      await evidence.answer(submission, roster.root, rosterLeaf(insider), roster.getProof([insider.address]));
      assert.equal(await evidence.verify(submission, honest, roster.getProof([insider.address])), true);
    });

    it("need a leaf that the station committed to, and a station to ask", async () => {
      const foreign = await evidence.contribution(second, 1, 1);
      const call = c.ledger.write.challengeInvented([submission.recorded, foreign, []], { account: c.stations[0] });
      await refuses(call, c.ledger, "RoundLedgerBadProof", [submission.tree.root, leafOf(foreign)]);
      await outsiderRefused(evidence.challengeInvented(submission, invented, { by: people.outsider }));
      const altered = { ...submission, recorded: { ...submission.recorded, roster: digest("other") } };
      await refuses(evidence.challengeInvented(altered, invented), c.ledger, "RoundLedgerUnknownCommitment", [
        c.twin,
        1,
        address(1),
      ]);
    });

    it("are lost by a station that never set a roster", async () => {
      const leaf = await evidence.contribution(insider, 2, 1);
      const without = await evidence.submit(2, 1, [leaf]);
      await evidence.challengeInvented(without, leaf);
      await c.pastSubmitting();
      const zero = `0x${"00".repeat(32)}`;
      await evidence.settle(without, zero, rosterLeaf(insider));
      assert.equal((await c.round()).excluded, setOf(2));
    });
  });

  describe("of an omitted device", () => {
    let omitted;
    beforeEach(async () => {
      omitted = leafOf(await evidence.contribution(second, 1, 1));
    });

    it("are lost by a station that gave a receipt and left the contribution out", async () => {
      const receipt = await evidence.receipt(1, 1, omitted);
      const { root } = submission.tree;
      const now = (await blockTime()) + 5;
      await nextBlockAt(now);
      await viem.assertions.emitWithArgs(evidence.challengeOmitted(submission, omitted, receipt), c.ledger, "Challenged", [
        c.twin,
        1,
        address(1),
        root,
        omitted,
        now + ANSWER_FOR,
      ]);
      await nextBlockAt(now + ANSWER_FOR);
      await rejected(evidence.settle(submission, root, omitted), omitted);
      assert.equal((await c.round()).excluded, setOf(1));
    });

    it("are answered with the leaf's place in the tree", async () => {
      const leaf = leafOf(honest);
      const { root } = submission.tree;
      await evidence.challengeOmitted(submission, leaf, await evidence.receipt(1, 1, leaf));
      await evidence.answer(submission, root, leaf, submission.tree.proof(honest));
      await c.pastSubmitting();
      await refuses(evidence.settle(submission, root, leaf), c.ledger, "RoundLedgerNoChallenge", [root, leaf]);
      assert.equal((await c.round()).excluded, 0n);
    });

    it("need the station's receipt for this leaf, twin, round and ledger: no other accuses it", async () => {
      const refused = async (receipt, signer) => {
        const call = evidence.challengeOmitted(submission, omitted, receipt);
        // A signature over another statement recovers to an address that nobody has.
        const actual = signer ?? (await evidence.receiptSigner(1, omitted, receipt));
        await refuses(call, c.ledger, "RoundLedgerBadSignature", [address(1), actual]);
      };
      await refused(await evidence.receipt(0, 1, omitted), address(0)); // another station's
      await refused(await evidence.receipt(1, 1, leafOf(honest))); // for another leaf
      await refused(await evidence.receipt(1, 2, omitted)); // for another round
      await refused(await evidence.receipt(1, 1, omitted, { twin: digest("another twin") }));
      await refused(await evidence.receipt(1, 1, omitted, { domain: domainOf(c.ledger, 1) })); // on another chain
      await refused("0x", zeroAddress);
      await refused(mirrored(await evidence.receipt(1, 1, omitted)), zeroAddress); // with s in the upper half
    });

    it("ask for a station as accuser", async () => {
      const receipt = await evidence.receipt(1, 1, omitted);
      await outsiderRefused(evidence.challengeOmitted(submission, omitted, receipt, { by: people.outsider }));
    });
  });

  it("don't exist until they are made: nothing is there to answer or to settle", async () => {
    const leaf = rosterLeaf(insider);
    const none = [roster.root, leaf];
    assert.equal(await until(roster.root, leaf), 0);
    const proof = roster.getProof([insider.address]);
    await refuses(evidence.answer(submission, roster.root, leaf, proof), c.ledger, "RoundLedgerNoChallenge", none);
    await refuses(evidence.settle(submission, roster.root, leaf), c.ledger, "RoundLedgerNoChallenge", none);
  });

  it("are made once while they are open: nobody prolongs them", async () => {
    await evidence.challengeInvented(submission, invented);
    await refuses(evidence.challengeInvented(submission, invented), c.ledger, "RoundLedgerChallengeExists", [
      roster.root,
      rosterLeaf(stranger),
    ]);
  });

  it("void the votes cast before, when they are lost", async () => {
    for (const index of [0, 2]) await c.submit(index, 1);
    await evidence.challengeInvented(submission, invented);
    await c.attest(1, 1, digest("with it"));
    await mineAt(await until(roster.root, rosterLeaf(stranger)));
    await evidence.settle(submission, roster.root, rosterLeaf(stranger));
    assert.deepEqual([await c.votesFor(digest("with it")), (await c.round()).voted], [0n, 0n]);
  });

  it("that are lost after the round's end are for the record", async () => {
    for (const index of [0, 2]) await c.submit(index, 1);
    await evidence.challengeInvented(submission, invented);
    for (const index of [0, 1]) await c.attest(index, 1, digest("model"));
    await mineAt(await until(roster.root, rosterLeaf(stranger)));
    await rejected(evidence.settle(submission, roster.root, rosterLeaf(stranger)), rosterLeaf(stranger), true);
    assert.deepEqual(await c.head(), { number: 1, model: digest("model") });
  });

  it("aren't made against an update that was rejected already", async () => {
    for (const by of [0, 2]) await c.dispute(by, 1, 1);
    const already = [c.twin, 1, address(1)];
    await refuses(evidence.challengeInvented(submission, invented), c.ledger, "RoundLedgerAlreadyRejected", already);
    const receipt = await evidence.receipt(1, 1, digest("leaf"));
    const call = evidence.challengeOmitted(submission, digest("leaf"), receipt);
    await refuses(call, c.ledger, "RoundLedgerAlreadyRejected", already);
  });

  it("that are open when the update is rejected otherwise change nothing more", async () => {
    await evidence.challengeInvented(submission, invented);
    for (const by of [0, 2]) await c.dispute(by, 1, 1);
    await c.pastSubmitting();
    const settle = evidence.settle(submission, roster.root, rosterLeaf(stranger));
    await refuses(settle, c.ledger, "RoundLedgerAlreadyRejected", [c.twin, 1, address(1)]);
  });
});
