import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { getAddress, zeroAddress } from "viem";
import { Consortium, blockTime, refuses, viem } from "./support/consortium.js";
import { Audit, Phase, TIMING } from "./support/audit.js";

const { slotSeconds, openSeconds, sealSeconds, proveSeconds } = TIMING;

describe("SyncAudit: what it is made of", () => {
  let w;
  before(async () => {
    w = await Audit.create();
  });
  const deploy = ({ timing = TIMING, ...parts } = {}) => {
    const made = { registry: w.c.registry.address, ledger: w.c.ledger.address, verifier: w.verifier.address, ...parts };
    return viem.deployContract("SyncAudit", [made.registry, made.ledger, made.verifier, timing]);
  };

  it("names its registry, ledger, verifier and limits, and begins with its block", async () => {
    const contract = await deploy();
    assert.equal(Number(await contract.read.genesisTime()), await blockTime());
    const parts = { registry: w.c.registry, ledger: w.c.ledger, verifier: w.verifier };
    for (const [name, { address }] of Object.entries(parts)) {
      assert.equal(getAddress(await contract.read[name]()), getAddress(address));
    }
    assert.deepEqual(await contract.read.timing(), TIMING);
    assert.deepEqual([await contract.read.MAX_HOLDERS(), await contract.read.MAX_LOOKBACK()], [32, 64]);
  });

  it("is nothing without a registry, a ledger or a verifier", async () => {
    for (const part of ["registry", "ledger", "verifier"]) {
      await refuses(deploy({ [part]: zeroAddress }), w.contract, "SyncAuditZeroValue", []);
    }
  });

  it("takes no ledger of another consortium: it would name other models", async () => {
    const other = await Consortium.bare(1);
    await refuses(deploy({ ledger: other.ledger.address }), w.contract, "SyncAuditZeroValue", []);
  });

  it("needs every length of its timing", async () => {
    for (const name of Object.keys(TIMING)) {
      await refuses(deploy({ timing: { ...TIMING, [name]: 0 } }), w.contract, "SyncAuditBadTiming", []);
    }
  });

  it("leaves at least a second of a slot when its phases are over", async () => {
    const phases = openSeconds + sealSeconds + proveSeconds;
    const timing = { ...TIMING, slotSeconds: phases };
    await refuses(deploy({ timing }), w.contract, "SyncAuditBadTiming", []);
    await deploy({ timing: { ...timing, slotSeconds: phases + 1 } });
  });

  it("adds the longest phases without carrying over", async () => {
    const longest = 2 ** 32 - 1;
    const timing = { ...TIMING, slotSeconds: longest, openSeconds: longest, sealSeconds: longest, proveSeconds: 2 };
    await refuses(deploy({ timing }), w.contract, "SyncAuditBadTiming", []);
  });
});

describe("SyncAudit: its clock", () => {
  let w;
  before(async () => {
    w = await Audit.create();
  });
  const ends = [0, openSeconds, openSeconds + sealSeconds, openSeconds + sealSeconds + proveSeconds, slotSeconds];
  const order = ["Open", "Sealed", "Proving", "Closed"];

  for (const slot of [1, 2, 900]) {
    for (const [index, name] of order.entries()) {
      it(`is in ${name} of slot ${slot} from its first to its last second`, async () => {
        for (const second of [ends[index], ends[index + 1] - 1]) {
          await w.goTo(slot, Phase.Open, second);
          assert.deepEqual(await w.read("currentSlot"), [slot, Phase[name]]);
          assert.equal(await w.read("phaseOf", [slot]), Phase[name]);
          assert.equal(await w.read("phaseOf", [slot - 1]), Phase.Closed);
          assert.equal(await w.read("phaseOf", [slot + 1]), Phase.Future);
        }
      });
    }
  }

  it("says when each slot is sealed, the first and the last", async () => {
    for (const slot of [0, 7, 2 ** 32 - 1]) {
      assert.equal(await w.read("sealedAt", [slot]), BigInt(w.genesis + slot * slotSeconds + openSeconds));
    }
  });
});
