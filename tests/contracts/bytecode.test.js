// The consortium's chain speaks London. A compiler setting or a library that asks for more would deploy and then fail
// in some call, so the opcodes themselves are looked at.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import hre from "hardhat";
import { hexToBytes } from "viem";

const CONTRACTS = ["TwinRegistry", "RoundLedger", "PDPVerifier", "SyncAudit"];
const YOUNGER_THAN_LONDON = {
  0x1e: "CLZ", 0x49: "BLOBHASH", 0x4a: "BLOBBASEFEE", 0x5c: "TLOAD", 0x5d: "TSTORE", 0x5e: "MCOPY", 0x5f: "PUSH0",
};
const [PUSH1, PUSH32] = [0x60, 0x7f];

/** Opcodes in order, without the data of PUSH1 to PUSH32, which may hold any byte. */
function* opcodes(code) {
  for (let at = 0; at < code.length; at++) {
    const opcode = code[at];
    yield opcode;
    if (opcode >= PUSH1 && opcode <= PUSH32) at += opcode - PUSH1 + 1;
  }
}
const youngOnes = (code) => [...opcodes(code)].map((opcode) => YOUNGER_THAN_LONDON[opcode]).filter(Boolean);

describe("bytecode", () => {
  it("is walked past the data of PUSH: only opcodes are judged", () => {
    assert.deepEqual(youngOnes(hexToBytes("0x605f6000635f5e5c5d50")), []);
    assert.deepEqual(youngOnes(hexToBytes("0x605f5f615f5f5e")), ["PUSH0", "MCOPY"]);
    assert.deepEqual(youngOnes(hexToBytes(`0x7f${"5c".repeat(32)}5c`)), ["TLOAD"]);
    assert.deepEqual(youngOnes(hexToBytes("0x601e1e")), ["CLZ"]);
  });

  for (const name of CONTRACTS) {
    it(`of ${name} has no opcode younger than London`, async () => {
      const artifact = await hre.artifacts.readArtifact(name);
      for (const code of [artifact.bytecode, artifact.deployedBytecode]) {
        assert.ok(code.length > 2000);
        assert.deepEqual(youngOnes(hexToBytes(code)), []);
      }
    });

    it(`of ${name} fits the limit of EIP-170`, async () => {
      const { deployedBytecode } = await hre.artifacts.readArtifact(name);
      assert.ok(hexToBytes(deployedBytecode).length <= 24_576);
    });

    it(`of ${name} comes from a build without a warning`, async () => {
      const id = await hre.artifacts.getBuildInfoId(`contracts/${name}.sol:${name}`);
      const { output } = JSON.parse(readFileSync(await hre.artifacts.getBuildInfoOutputPath(id), "utf8"));
      assert.ok(output.contracts, "not the compiler's output");
      assert.deepEqual(output.errors ?? [], []);
    });
  }
});
