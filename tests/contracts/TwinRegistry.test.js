import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { getAddress, zeroAddress } from "viem";
import {
  Consortium,
  EPOCH,
  POLICY,
  ZERO,
  accounts,
  digest,
  idOf,
  people,
  refuses,
  viem,
} from "./support/consortium.js";

const checksummed = (address) => getAddress(address);

describe("TwinRegistry: stations", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.bare(0);
  });

  it("cannot be deployed without an admin, an epoch or a seat", async () => {
    for (const args of [
      [zeroAddress, EPOCH, 1],
      [people.admin, 0, 1],
      [people.admin, EPOCH, 0],
    ]) {
      await refuses(viem.deployContract("TwinRegistry", args), c.registry, "TwinRegistryZeroValue", []);
    }
  });

  it("gives each station the next index, and finds it by account and by index", async () => {
    await viem.assertions.emitWithArgs(c.admit(accounts[0]), c.registry, "StationRegistered", [checksummed(accounts[0]), 0]);
    await viem.assertions.emitWithArgs(c.admit(accounts[1]), c.registry, "StationRegistered", [checksummed(accounts[1]), 1]);
    assert.equal(await c.registry.read.stationCount(), 2);
    assert.equal(await c.registry.read.indexOf([accounts[1]]), 1);
    assert.equal(await c.registry.read.stationAt([1]), checksummed(accounts[1]));
    assert.deepEqual(await c.registry.read.stationOf([accounts[1]]), {
      registered: true,
      suspended: false,
      index: 1,
      rosterRevision: 0,
      deviceCount: 0,
      weight: 0n,
      rosterRoot: ZERO,
    });
  });

  it("knows nothing of an account that is no station", async () => {
    await c.admit(accounts[0]);
    await refuses(c.registry.read.indexOf([people.outsider]), c.registry, "TwinRegistryUnknownStation", [
      checksummed(people.outsider),
    ]);
    assert.equal((await c.registry.read.stationOf([people.outsider])).registered, false);
    assert.equal(await c.registry.read.stationAt([1]), zeroAddress);
    assert.equal(await c.registry.read.stationAt([255]), zeroAddress);
  });

  it("lets no station register itself or another alone", async () => {
    await c.admit(accounts[0]);
    const role = await c.registry.read.REGISTRAR_ROLE();
    for (const by of [accounts[0], people.outsider]) {
      await refuses(
        c.registry.write.registerStation([accounts[5]], { account: by }),
        c.registry,
        "AccessControlUnauthorizedAccount",
        [checksummed(by), role],
      );
    }
  });

  it("lets the admin hand the registrar's role over, and take it back", async () => {
    const role = await c.registry.read.REGISTRAR_ROLE();
    await c.registry.write.grantRole([role, people.newOwner], { account: people.admin });
    await c.registry.write.revokeRole([role, people.admin], { account: people.admin });
    await c.registry.write.registerStation([accounts[0]], { account: people.newOwner });
    await refuses(c.admit(accounts[1]), c.registry, "AccessControlUnauthorizedAccount", [
      checksummed(people.admin),
      role,
    ]);
  });

  it("refuses a second index for a station, which would be a second vote", async () => {
    await c.admit(accounts[0]);
    await refuses(c.admit(accounts[0]), c.registry, "TwinRegistryAlreadyRegistered", [checksummed(accounts[0])]);
  });

  it("refuses the zero address", async () => {
    await refuses(c.admit(zeroAddress), c.registry, "TwinRegistryZeroValue", []);
  });

  it("admits 64 stations, all of them in the electorate, and refuses one more", async () => {
    for (const account of accounts.slice(0, 64)) await c.admit(account);
    await c.registerTwin();
    assert.equal(await c.registry.read.indexOf([accounts[63]]), 63);
    const [electorate, openerIndex] = await c.registry.read.openingOf([c.twin, accounts[63]]);
    assert.equal(electorate, 2n ** 64n - 1n);
    assert.equal(openerIndex, 63);
    await refuses(c.admit(accounts[64]), c.registry, "TwinRegistryFull", [64]);
    assert.equal(await c.registry.read.stationCount(), 64);
  });
});

describe("TwinRegistry: rosters", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.bare(1);
  });
  const setRoster = (root, count, by) => c.registry.write.setRoster([root, count], { account: by ?? c.stations[0] });

  it("replaces a station's roster, counting revisions", async () => {
    const [station] = c.stations.map(checksummed);
    await viem.assertions.emitWithArgs(setRoster(digest("r1"), 100), c.registry, "RosterSet", [
      station,
      digest("r1"),
      100,
      1,
    ]);
    await viem.assertions.emitWithArgs(setRoster(digest("r2"), 90), c.registry, "RosterSet", [
      station,
      digest("r2"),
      90,
      2,
    ]);
    assert.deepEqual(await c.registry.read.stationOf([station]), {
      registered: true,
      suspended: false,
      index: 0,
      rosterRevision: 2,
      deviceCount: 90,
      weight: 0n,
      rosterRoot: digest("r2"),
    });
  });

  it("refuses a roster from an account that is no station", async () => {
    await refuses(setRoster(digest("r1"), 1, people.outsider), c.registry, "TwinRegistryUnknownStation", [
      checksummed(people.outsider),
    ]);
  });

  it("refuses a roster without root or without devices", async () => {
    await refuses(setRoster(ZERO, 1), c.registry, "TwinRegistryZeroValue", []);
    await refuses(setRoster(digest("r1"), 0), c.registry, "TwinRegistryZeroValue", []);
  });
});

describe("TwinRegistry: nodes", () => {
  let c;
  beforeEach(async () => {
    c = await Consortium.bare(2);
  });
  const setNodes = (manifest, by) => c.registry.write.setNodes([manifest], { account: by ?? c.stations[0] });

  it("names the manifest of a station's nodes, replaces it, and withdraws it", async () => {
    const [station, other] = c.stations.map(checksummed);
    assert.equal(await c.registry.read.nodesOf([station]), ZERO);
    for (const manifest of [digest("nodes 1"), digest("nodes 2"), ZERO]) {
      await viem.assertions.emitWithArgs(setNodes(manifest), c.registry, "NodesSet", [station, manifest]);
      assert.equal(await c.registry.read.nodesOf([station]), manifest);
    }
    assert.equal(await c.registry.read.nodesOf([other]), ZERO);
  });

  it("takes none from an account that is no station", async () => {
    await refuses(setNodes(digest("nodes"), people.outsider), c.registry, "TwinRegistryUnknownStation", [
      checksummed(people.outsider),
    ]);
  });

  it("takes none from a suspended station", async () => {
    const [station] = c.stations.map(checksummed);
    await c.registry.write.suspendStation([station, digest("evidence")], { account: people.admin });
    await refuses(setNodes(digest("nodes")), c.registry, "TwinRegistrySuspended", [station]);
  });
});

describe("TwinRegistry: twins", () => {
  let c;
  const owner = checksummed(people.owner);
  beforeEach(async () => {
    c = await Consortium.bare(1);
    await c.registerTwin();
  });
  const revise = (revision, { twin = c.twin, manifest = digest("revised"), by = people.owner } = {}) =>
    c.registry.write.reviseTwin([twin, revision, manifest], { account: by });
  const transfer = (to, { twin = c.twin, by = people.owner } = {}) =>
    c.registry.write.transferTwin([twin, to], { account: by });

  it("registers a twin with its policy; the caller owns it", async () => {
    const twin = idOf("another twin");
    await viem.assertions.emitWithArgs(c.registerTwin({ twin }), c.registry, "TwinRegistered", [
      twin,
      owner,
      digest("twin manifest"),
      POLICY,
    ]);
    assert.deepEqual(await c.registry.read.twinOf([twin]), {
      owner,
      revision: 1,
      policy: POLICY,
      manifest: digest("twin manifest"),
    });
  });

  it("keeps the largest policy that fits, so no member spills into another", async () => {
    const policy = { minSubmitFor: 2 ** 24 - 1, minAttestFor: 2 ** 24 - 1, minUpdates: 255, openGrace: 255 };
    const twin = idOf("slow twin");
    await c.registerTwin({ twin, policy });
    assert.deepEqual(await c.registry.read.twinOf([twin]), {
      owner,
      revision: 1,
      policy,
      manifest: digest("twin manifest"),
    });
  });

  it("refuses a twin that exists, also to its owner", async () => {
    for (const by of [people.owner, people.outsider]) {
      await refuses(c.registerTwin({ by }), c.registry, "TwinRegistryTwinExists", [c.twin]);
    }
  });

  it("refuses zero values, the policy's included", async () => {
    const twin = idOf("another twin");
    const bad = [
      { twin: ZERO },
      { twin, manifest: ZERO },
      { twin, policy: { ...POLICY, minSubmitFor: 0 } },
      { twin, policy: { ...POLICY, minAttestFor: 0 } },
      { twin, policy: { ...POLICY, minUpdates: 0 } },
    ];
    for (const change of bad) await refuses(c.registerTwin(change), c.registry, "TwinRegistryZeroValue", []);
  });

  it("revises a twin, one revision after the other", async () => {
    await viem.assertions.emitWithArgs(revise(2), c.registry, "TwinRevised", [c.twin, 2, digest("revised")]);
    const twin = await c.registry.read.twinOf([c.twin]);
    assert.equal(twin.revision, 2);
    assert.equal(twin.manifest, digest("revised"));
    assert.deepEqual(twin.policy, POLICY);
  });

  it("refuses a revision that is skipped, repeated or zero", async () => {
    await revise(2);
    for (const revision of [0, 1, 2, 4]) {
      await refuses(revise(revision), c.registry, "TwinRegistryUnexpectedRevision", [c.twin, 3, revision]);
    }
  });

  it("refuses a revision without manifest", async () => {
    await refuses(revise(2, { manifest: ZERO }), c.registry, "TwinRegistryZeroValue", []);
  });

  it("lets only the owner revise and transfer, and stations are no exception", async () => {
    for (const by of [people.outsider, c.stations[0], people.admin]) {
      const args = [c.twin, checksummed(by)];
      await refuses(revise(2, { by }), c.registry, "TwinRegistryNotTwinOwner", args);
      await refuses(transfer(by, { by }), c.registry, "TwinRegistryNotTwinOwner", args);
    }
  });

  it("hands a twin over for good: the former owner has no say any more", async () => {
    await viem.assertions.emitWithArgs(transfer(people.newOwner), c.registry, "TwinTransferred", [
      c.twin,
      owner,
      checksummed(people.newOwner),
    ]);
    await refuses(revise(2), c.registry, "TwinRegistryNotTwinOwner", [c.twin, owner]);
    await revise(2, { by: people.newOwner });
    const twin = await c.registry.read.twinOf([c.twin]);
    assert.equal(twin.owner, checksummed(people.newOwner));
    assert.deepEqual(twin.policy, POLICY);
  });

  it("refuses to hand a twin to nobody", async () => {
    await refuses(transfer(zeroAddress), c.registry, "TwinRegistryZeroValue", []);
  });

  it("refuses an unknown twin everywhere", async () => {
    const twin = idOf("unknown");
    const unknown = (call) => refuses(call, c.registry, "TwinRegistryUnknownTwin", [twin]);
    await unknown(c.registry.read.twinOf([twin]));
    await unknown(c.registry.read.openingOf([twin, c.stations[0]]));
    await unknown(revise(2, { twin }));
    await unknown(transfer(people.newOwner, { twin }));
  });

  it("tells the ledger electorate, opener and policy in one call", async () => {
    await c.admit(accounts[1]);
    assert.deepEqual(await c.registry.read.openingOf([c.twin, accounts[1]]), [0b11n, 1, POLICY]);
    await refuses(c.registry.read.openingOf([c.twin, people.outsider]), c.registry, "TwinRegistryUnknownStation", [
      checksummed(people.outsider),
    ]);
  });
});
