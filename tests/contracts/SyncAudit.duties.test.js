import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { zeroAddress } from "viem";
import { idOf, people, setOf, viem } from "./support/consortium.js";
import { Audit, Phase, pseudonym } from "./support/audit.js";

const NEVER = 2 ** 32 - 1;

describe("SyncAudit: duties", () => {
  let w;
  let twin;
  let holders;
  beforeEach(async () => {
    w = await Audit.create();
    twin = await w.twin("watch", { taggers: setOf(0, 1, 2) });
    holders = Array.from({ length: 33 }, (_, i) => pseudonym(`holder ${i}`).address);
  });
  const assign = (holder, by = 0) => w.send("assign", [twin, holder], w.stations[by]);
  const unassign = (holder, by = 0) => w.send("unassign", [twin, holder], w.stations[by]);
  const at = (holder, slot) => w.read("dutyAt", [twin, holder, slot]);
  const listed = async () => [...(await w.read("holdersOf", [twin]))].sort();
  const none = { tagger: zeroAddress, since: 0, until: 0 };

  it("begin with the next slot and end with the slot in which they are ended", async () => {
    const [holder] = holders;
    await w.emits(assign(holder), "HolderAssigned", [twin, w.stations[0], holder, 1]);
    assert.deepEqual(await at(holder, 0), none);
    assert.deepEqual(await at(holder, 1), { tagger: w.stations[0], since: 1, until: NEVER });
    await w.goTo(5, Phase.Closed);
    await w.emits(unassign(holder), "HolderUnassigned", [twin, w.stations[0], holder, 6]);
    assert.deepEqual(await at(holder, 5), { tagger: w.stations[0], since: 1, until: 6 });
    assert.deepEqual(await at(holder, 6), none);
  });

  it("are given by taggers of the twin alone", async () => {
    const [holder] = holders;
    const by = people.outsider;
    await w.refuses(w.send("assign", [twin, holder], by), "TwinRegistryUnknownStation", [by]);
    const unasked = idOf("without a policy");
    await w.refuses(w.send("assign", [unasked, holder], w.stations[0]), "SyncAuditNoPolicy", [unasked]);
    await w.policy(twin, { taggers: setOf(0, 1) });
    await w.refuses(assign(holder, 2), "SyncAuditNotTagger", [twin, w.stations[2]]);
    await w.c.suspend(1);
    await w.refuses(assign(holder, 1), "TwinRegistrySuspended", [w.stations[1]]);
    await assign(holder);
  });

  it("are nobody's, and never the tagger's own: who makes the tags can prove without the data", async () => {
    await w.refuses(assign(zeroAddress), "SyncAuditZeroValue");
    await w.refuses(assign(w.stations[0]), "SyncAuditOwnHolder", [w.stations[0]]);
    await assign(w.stations[0], 1);
  });

  it("are one for each holder of a twin, whoever gives another", async () => {
    await assign(w.stations[1]);
    for (const by of [0, 2]) {
      await w.refuses(assign(w.stations[1], by), "SyncAuditAlreadyAssigned", [twin, w.stations[1], w.stations[0]]);
    }
    const other = await w.twin("other");
    await w.send("assign", [other, w.stations[1]], w.stations[2]);
  });

  it("are ended by who gave them, and once", async () => {
    const [holder] = holders;
    await w.refuses(unassign(holder), "SyncAuditNotAssigned", [twin, holder, 1]);
    await assign(holder);
    for (const by of [w.stations[1], people.outsider, people.owner]) {
      await w.refuses(w.send("unassign", [twin, holder], by), "SyncAuditNotAssigned", [twin, holder, 1]);
    }
    await unassign(holder);
    await w.refuses(unassign(holder), "SyncAuditNotAssigned", [twin, holder, 1]);
  });

  it("are ended by their tagger though it may not tag any more", async () => {
    const [holder] = holders;
    await assign(holder, 2);
    await w.policy(twin, { taggers: setOf(0) });
    await w.c.suspend(2);
    await unassign(holder, 2);
    await assign(holder, 0);
    assert.equal((await at(holder, 1)).tagger, w.stations[0]);
  });

  it("that were ended in the slot in which they were given were never in force", async () => {
    const [holder] = holders;
    await assign(holder);
    await unassign(holder);
    assert.deepEqual(await at(holder, 1), none);
    assert.deepEqual(await listed(), []);
    await assign(holder, 1);
    assert.equal((await at(holder, 1)).tagger, w.stations[1]);
  });

  it("that are given and ended in turn make no proof of their slot dearer", async () => {
    const [holder] = holders;
    await assign(holder);
    await w.goTo(1, Phase.Open);
    const reads = async () => {
      const client = await viem.getPublicClient();
      const { abi, address } = w.contract;
      return client.estimateContractGas({ abi, address, functionName: "dutyAt", args: [twin, holder, 1] });
    };
    await unassign(holder);
    await assign(holder, 1);
    const before = await reads();
    for (let i = 0; i < 8; i++) await unassign(holder, 1).then(() => assign(holder, 1));
    assert.equal(await reads(), before);
  });

  it("pass from one lane to another without a gap or an overlap", async () => {
    const [holder] = holders;
    await assign(holder, 0);
    await w.goTo(4, Phase.Open);
    await unassign(holder, 0);
    await assign(holder, 1);
    await w.goTo(8, Phase.Open);
    await unassign(holder, 1);
    await w.goTo(11, Phase.Open);
    await assign(holder, 0);
    const seen = [0, 1, 4, 5, 8, 9, 11, 12, 99].map((slot) => at(holder, slot));
    const taggers = (await Promise.all(seen)).map(({ tagger }) => tagger);
    const [a, b] = w.stations;
    assert.deepEqual(taggers, [zeroAddress, a, a, b, b, zeroAddress, zeroAddress, a, a]);
  });

  it("leave the others listed when one of them ends: the first, the last and one between", async () => {
    for (const holder of holders.slice(0, 5)) await assign(holder);
    for (const gone of [0, 4, 2]) {
      await unassign(holders[gone]);
      assert.ok(!(await listed()).includes(holders[gone]));
    }
    assert.deepEqual(await listed(), [holders[1], holders[3]].sort());
    for (const left of [1, 3]) await unassign(holders[left]);
    assert.deepEqual(await listed(), []);
  });

  it("are 32 in a lane at most, and one lane takes no other's places", async () => {
    for (const holder of holders.slice(0, 32)) await assign(holder);
    await w.refuses(assign(holders[32]), "SyncAuditTooManyHolders", [32]);
    await assign(holders[32], 1);
    assert.equal((await listed()).length, 33);
    await unassign(holders[7]);
    await assign(pseudonym("another").address);
    await w.refuses(assign(holders[7]), "SyncAuditTooManyHolders", [32]);
    const other = await w.twin("other");
    await w.send("assign", [other, holders[7]], w.stations[0]); // nor another twin's
  });
});
