import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { concat, isAddressEqual } from "viem";
import { blockTime, digest, people, viem } from "./support/consortium.js";
import { Audit, KEYS } from "./support/audit.js";
import { Key, content, element } from "./support/pdp.js";

const [key] = KEYS;
const client = await viem.getPublicClient();

describe("SyncAudit: keys", () => {
  let w;
  beforeEach(async () => {
    w = await Audit.create();
  });
  const register = (modulus = key.modulus, bits = key.exponentBits, by = w.stations[0]) =>
    w.send("registerKey", [modulus, bits], by);

  it("belong to who registers them, and lie in a contract that begins with STOP", async () => {
    await register();
    const { owner, exponentBits, revokedAt, data } = await w.read("keyOf", [key.id]);
    assert.deepEqual([owner, exponentBits, revokedAt], [w.stations[0], 44_497, 0n]);
    assert.equal(await client.getCode({ address: data }), concat(["0x00", key.modulus, element(key.g), owner.toLowerCase()]));
    assert.equal((await client.call({ to: data, data: "0x12345678" })).data, undefined);
  });

  it("are named when they come, with the contract that has them", async () => {
    const hash = await register();
    const { data } = await w.read("keyOf", [key.id]);
    await w.emits(Promise.resolve(hash), "KeyRegistered", [key.id, w.stations[0], 44_497, data]);
    assert.ok(!isAddressEqual(data, w.contract.address));
  });

  it("of an account that is no station are taken: what counts is who may tag", async () => {
    await register(key.modulus, 44_497, people.outsider);
    assert.equal((await w.read("keyOf", [key.id])).owner.toLowerCase(), people.outsider.toLowerCase());
  });

  it("are registered once, whoever tries again", async () => {
    await register();
    for (const by of [w.stations[0], w.stations[1]]) {
      await w.refuses(register(key.modulus, 44_497, by), "SyncAuditKeyExists", [key.id]);
    }
  });

  for (const [bits, block] of [
    [44_497, 4096],
    [132_049, 16_384],
    [756_839, 65_536],
  ]) {
    it(`with the exponent 2^${bits} - 1 have blocks of ${block} bytes`, async () => {
      const other = new Key(key.p, key.q, bits);
      await w.registerKey(other, w.stations[0]);
      const twin = await w.twin("watch");
      for (const [length, blocks] of [
        [1, 1],
        [block, 1],
        [block + 1, 2],
        [100 * block, 100],
        [100 * block + 1, 101],
      ]) {
        const tagged = await w.twin(`twin of ${length}`);
        const args = [tagged, other.id, digest("root"), BigInt(length), digest("tags")];
        await w.send("registerTags", args, w.stations[0]);
        assert.equal((await w.read("tagsAt", [tagged, w.stations[0], 1])).blocks, blocks);
      }
      assert.equal((await w.read("tagsAt", [twin, w.stations[0], 1])).blocks, 0);
    });
  }

  for (const [what, modulus, bits] of [
    ["an exponent that isn't in the table", key.modulus, 65_537],
    ["no exponent", key.modulus, 0],
    ["an even modulus", element(key.n - 1n), 44_497],
    ["a modulus with a clear top bit", element((key.n >> 1n) | 1n), 44_497],
    ["a modulus of 255 bytes", `0x${key.modulus.slice(4)}`, 44_497],
    ["a modulus of 257 bytes", `${key.modulus}01`, 44_497],
    ["no modulus", "0x", 44_497],
  ]) {
    it(`are refused with ${what}`, () => w.refuses(register(modulus, bits), "PDPBadKey"));
  }

  it("are revoked by their owner, at the time of the block", async () => {
    await register();
    await w.emits(w.send("revokeKey", [key.id], w.stations[0]), "KeyRevoked", [key.id, w.stations[0]]);
    assert.equal((await w.read("keyOf", [key.id])).revokedAt, BigInt(await blockTime()));
  });

  it("are revoked by the registry's administrator, and by nobody else", async () => {
    await register();
    for (const by of [w.stations[1], people.owner, people.outsider]) {
      await w.refuses(w.send("revokeKey", [key.id], by), "SyncAuditNotKeyOwner", [key.id, by]);
    }
    await w.send("revokeKey", [key.id], people.admin);
    assert.notEqual((await w.read("keyOf", [key.id])).revokedAt, 0n);
  });

  it("are revoked once, and only if there are any", async () => {
    await w.refuses(w.send("revokeKey", [key.id], w.stations[0]), "SyncAuditUnknownKey", [key.id]);
    await register();
    await w.send("revokeKey", [key.id], w.stations[0]);
    for (const by of [w.stations[0], people.admin]) {
      await w.refuses(w.send("revokeKey", [key.id], by), "SyncAuditKeyRevoked", [key.id]);
    }
    await w.refuses(register(), "SyncAuditKeyExists", [key.id]); // nor do they come back
  });

  it("are all zero where there are none", async () => {
    const { owner, exponentBits, revokedAt } = await w.read("keyOf", [digest("no key")]);
    assert.deepEqual([BigInt(owner), exponentBits, revokedAt], [0n, 0, 0n]);
  });

  it("work for tags at once, whatever the artifact", async () => {
    const lane = await w.lane(await w.twin("watch"), { data: content("small", 1) });
    await w.openProving(lane.slot);
    await lane.prove();
  });
});
