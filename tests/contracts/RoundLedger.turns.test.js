import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { getAddress } from "viem";
import { Consortium, POLICY, digest, mineAt, nextBlockAt, people, refuses, setOf } from "./support/consortium.js";

const GRACE = 100;

describe("RoundLedger: turns", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.create(3, { ...POLICY, openGrace: GRACE });
  });
  const open = (number, by) => c.open(number, { by: c.stations[by] });
  const refused = (call, number, turn, until) =>
    refuses(call, c.ledger, "RoundLedgerNotTurn", [c.twin, number, turn, until]);
  /** Ends the open round by votes; the second that counts as its end. */
  const finish = async (number) => {
    const { number: baseRound, model: base } = await c.head();
    for (const index of [0, 1, 2]) await c.submit(index, number, { baseRound, base });
    for (const index of [0, 1]) await c.attest(index, number, digest(`model of ${number}`));
    return (await c.round()).submitUntil;
  };

  it("don't bind the first round of a twin: there is no end to count from", async () => {
    await open(1, 2);
  });

  it("go by the number modulo the electorate, for the grace after a round's end, to the second", async () => {
    await open(1, 0);
    const end = await finish(1);
    for (const by of [0, 1]) await refused(open(2, by), 2, 2, end + GRACE);
    await nextBlockAt(end + GRACE - 1);
    await refused(open(2, 0), 2, 2, end + GRACE);
    await nextBlockAt(end + GRACE);
    await open(2, 0);
  });

  it("let the station whose turn it is open at once, round after round", async () => {
    await open(1, 0);
    for (const [number, turn] of [
      [2, 2],
      [3, 0],
      [4, 1],
      [5, 2],
    ]) {
      const end = await finish(number - 1);
      await refused(open(number, (turn + 1) % 3), number, turn, end + GRACE);
      await open(number, turn);
    }
  });

  it("count from an abort as from a final model: a dead station's turn delays, and doesn't stop", async () => {
    await open(1, 0);
    const { attestUntil } = await c.round();
    await mineAt(attestUntil + 5000);
    await nextBlockAt(attestUntil + 6000);
    await c.abort(1);
    await refused(open(2, 1), 2, 2, attestUntil + 6000 + GRACE);
    await mineAt(attestUntil + 6000 + GRACE);
    await open(2, 1);
  });

  it("count among the electors of the next round: a suspended station has no turn", async () => {
    await open(1, 0);
    const end = await finish(1);
    await c.suspend(2);
    // 2 modulo 2 stations: the first of them.
    await refused(open(2, 1), 2, 0, end + GRACE);
    await open(2, 0);
    assert.equal((await c.round()).electorate, setOf(0, 1));
  });

  it("are the producers' after an election; anyone active opens once the grace is over", async () => {
    await open(1, 0);
    const end = await finish(1);
    await c.registry.write.setWeight([c.stations[0], 1n], { account: people.admin });
    await c.registry.write.castBallot([setOf(1, 2)], { account: c.stations[0] });
    await c.registry.write.elect([2], { account: c.stations[0] });
    await refused(open(2, 0), 2, 1, end + GRACE);
    await refused(open(2, 2), 2, 1, end + GRACE);
    await mineAt(end + GRACE);
    await open(2, 0);
  });

  it("give an outsider nothing, neither in the grace nor after it", async () => {
    await open(1, 0);
    const end = await finish(1);
    const outsider = () => c.open(2, { by: people.outsider });
    const args = [getAddress(people.outsider)];
    await refuses(outsider(), c.registry, "TwinRegistryUnknownStation", args);
    await mineAt(end + GRACE);
    await refuses(outsider(), c.registry, "TwinRegistryUnknownStation", args);
  });

  it("don't bind a twin whose policy gives no grace", async () => {
    const free = await Consortium.create(3);
    await free.finish(1);
    await free.open(2, { by: free.stations[1] });
  });
});
