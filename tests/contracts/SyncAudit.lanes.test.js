import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { getAddress } from "viem";
import { digest, idOf, people, setOf } from "./support/consortium.js";
import { Audit, KEYS, Mode, POLICY, Phase, modesOf, rootOf } from "./support/audit.js";
import { content } from "./support/pdp.js";

const [key] = KEYS;
const LONGEST = (2n ** 32n - 1n) * 4096n;

describe("SyncAudit: policies", () => {
  let w;
  let twin;
  beforeEach(async () => {
    w = await Audit.create();
    twin = idOf("watch");
    await w.c.registerTwin({ twin });
  });
  const at = (slot) => w.read("policyAt", [twin, slot]);
  const none = { modes: 0, size: 0, minHolders: 0, minTaggers: 0, attestedCounts: false, taggers: 0n };

  it("are the twin's owner's", async () => {
    for (const by of [w.stations[0], people.admin]) {
      await w.refuses(w.policy(twin, {}, by), "SyncAuditNotTwinOwner", [twin, by]);
    }
    const unknown = idOf("no twin");
    await w.refuses(w.policy(unknown), "TwinRegistryUnknownTwin", [unknown]);
    await w.emits(w.policy(twin), "PolicySet", [twin, POLICY, 1]);
    await w.c.registry.write.transferTwin([twin, people.newOwner], { account: people.owner });
    await w.refuses(w.policy(twin), "SyncAuditNotTwinOwner", [twin, people.owner]);
    await w.policy(twin, {}, people.newOwner);
  });

  for (const [what, change] of [
    ["no mode", { modes: 0 }],
    ["a mode that is none", { modes: modesOf(Mode.None) | modesOf(Mode.Full) }],
    ["a mode that isn't known", { modes: 1 << 4 }],
    ["known and unknown modes", { modes: 0xff }],
    ["no block to be asked for", { size: 0 }],
    ["more than 1,024 blocks", { size: 1025 }],
    ["no holder", { minHolders: 0 }],
    ["no lane", { minTaggers: 0 }],
    ["no tagger", { taggers: 0n }],
    ["fewer taggers than lanes", { minTaggers: 3, taggers: setOf(0, 5) }],
  ]) {
    it(`are refused with ${what}`, () => w.refuses(w.policy(twin, change), "SyncAuditBadPolicy"));
  }

  it("are taken at their limits", async () => {
    const taggers = 2n ** 64n - 1n;
    for (const change of [
      { size: 1 },
      { size: 1024 },
      { minHolders: 255 },
      { minTaggers: 64, taggers },
      { taggers: setOf(63) },
      ...[Mode.Full, Mode.Optimistic, Mode.Quorum].map((mode) => ({ modes: modesOf(mode) })),
    ]) {
      await w.policy(twin, change);
      assert.deepEqual(await at(1), { ...POLICY, ...change });
    }
  });

  it("are in force from the next slot on, and the past stays as it was", async () => {
    assert.deepEqual(await at(100), none);
    await w.policy(twin);
    assert.deepEqual([await at(0), await at(1), await at(1000)], [none, POLICY, POLICY]);
    await w.goTo(5, Phase.Closed);
    await w.policy(twin, { size: 7 });
    await w.policy(twin, { size: 8 }); // the first of this slot was never in force
    await w.goTo(9, Phase.Open);
    await w.policy(twin, { size: 9 });
    const sizes = await Promise.all([0, 1, 5, 6, 8, 9, 10, 11].map(async (slot) => (await at(slot)).size));
    assert.deepEqual(sizes, [0, 100, 100, 8, 8, 8, 9, 9]);
  });
});

describe("SyncAudit: tags", () => {
  let w;
  let twin;
  beforeEach(async () => {
    w = await Audit.create();
    twin = await w.twin("watch", { taggers: setOf(0, 1) });
    await w.registerKey(key, w.stations[0]);
  });
  const data = content("artifact", 9000);
  const register = (change = {}) => {
    const made = { twin, key: key.id, root: rootOf(data), length: 9000n, tags: digest("tags"), by: 0, ...change };
    const by = made.account ?? w.stations[made.by];
    return w.send("registerTags", [made.twin, made.key, made.root, made.length, made.tags], by);
  };
  const at = (slot, tagger = w.stations[0]) => w.read("tagsAt", [twin, tagger, slot]);

  it("are of the ledger's head under its domain, from the next slot on", async () => {
    const tau = await w.tau(twin, key, data);
    const named = [twin, 0, w.stations[0], key.id, rootOf(data), 9000n, tau, digest("tags")];
    await w.emits(register(), "TagsRegistered", named);
    assert.deepEqual(await at(1), { tau, keyId: key.id, version: 0, blocks: 3, activeFrom: 1 });
    assert.equal((await at(0)).blocks, 0);
    assert.equal((await at(1, w.stations[1])).blocks, 0);
  });

  it("are refused of who may not tag", async () => {
    const { outsider } = people;
    await w.refuses(register({ account: outsider }), "TwinRegistryUnknownStation", [outsider]);
    await w.refuses(register({ by: 2 }), "SyncAuditNotTagger", [twin, w.stations[2]]);
    const unasked = idOf("without a policy");
    await w.c.registerTwin({ twin: unasked });
    await w.refuses(register({ twin: unasked }), "SyncAuditNoPolicy", [unasked]);
    await w.c.suspend(0);
    await w.refuses(register(), "TwinRegistrySuspended", [w.stations[0]]);
  });

  it("may come from who the newest policy names, in force or not yet, and not from who it leaves out", async () => {
    await w.goTo(3, Phase.Open);
    await w.policy(twin, { taggers: setOf(1, 2) });
    await w.refuses(register(), "SyncAuditNotTagger", [twin, w.stations[0]]);
    await w.tag(2, twin, data);
    assert.equal((await at(4, w.stations[2])).blocks, 3);
  });

  it("are made under a key of the tagger's own that isn't revoked", async () => {
    await w.refuses(register({ by: 1 }), "SyncAuditNotKeyOwner", [key.id, w.stations[1]]);
    await w.refuses(register({ key: digest("no key") }), "SyncAuditUnknownKey", [digest("no key")]);
    await w.send("revokeKey", [key.id], w.stations[0]);
    await w.refuses(register(), "SyncAuditKeyRevoked", [key.id]);
  });

  it("are of a model, of some bytes and not too many, with root and manifest", async () => {
    const bare = idOf("without a model");
    await w.c.registerTwin({ twin: bare });
    await w.policy(bare);
    await w.refuses(register({ twin: bare }), "SyncAuditNoModel", [bare]);
    for (const length of [0n, LONGEST + 1n, 2n ** 64n - 1n]) {
      await w.refuses(register({ length }), "SyncAuditBadLength", [length]);
    }
    const zero = `0x${"00".repeat(32)}`;
    for (const change of [{ root: zero }, { tags: zero }]) await w.refuses(register(change), "SyncAuditZeroValue");
    await register({ length: LONGEST });
    assert.equal((await at(1)).blocks, 2 ** 32 - 1);
  });

  it("aren't registered twice for a version under a key, in this slot or a later one", async () => {
    await register();
    await w.refuses(register({ root: digest("another") }), "SyncAuditTagsExist", [twin, 0, key.id]);
    await w.goTo(4, Phase.Sealed);
    await w.refuses(register(), "SyncAuditTagsExist", [twin, 0, key.id]);
    await w.tag(1, twin, data); // another lane is another matter
  });

  it("of several in one slot the last is asked for, and of each slot those that were in force", async () => {
    const other = KEYS[3];
    await register();
    await w.registerKey(other, w.stations[0]);
    await register({ key: other.id, length: 1n });
    await w.goTo(3, Phase.Open);
    await w.tag(0, twin, content("again", 5 * 4096));
    const seen = await Promise.all([0, 1, 2, 3, 4, 50].map(async (slot) => (await at(slot)).blocks));
    assert.deepEqual(seen, [0, 1, 1, 1, 5, 5]);
  });
});

describe("SyncAudit: the model that is asked for", () => {
  it("is the old one until the slot after new tags, whatever the ledger's head is", async () => {
    const w = await Audit.create();
    const { twin } = w.c;
    await w.policy(twin);
    const old = await w.lane(twin);
    await w.openProving(1);
    await w.c.finish(1);
    const { slot, tags } = await w.tag(0, twin, content("round 1", 5000));
    assert.equal(tags.length, 2);
    const versions = [slot - 1, slot].map((at) => w.read("tagsAt", [twin, w.stations[0], at]));
    assert.deepEqual((await Promise.all(versions)).map(({ version }) => version), [0, 1]);
    assert.equal((await w.read("dutyAt", [twin, old.holder, slot])).tagger, getAddress(w.stations[0]));
  });
});
