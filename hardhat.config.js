// Solidity tool chain: Hardhat 3, offline. The compiler is the npm package `solc`, the same one
// that chain/compiler.py drives through py-solc-x; tests compare the two bytecodes.
// "paris" because the consortium's chain (geth 1.13 Clique) speaks London: no PUSH0, MCOPY, TLOAD.
import hardhatNodeTestRunner from "@nomicfoundation/hardhat-node-test-runner";
import hardhatViem from "@nomicfoundation/hardhat-viem";
import hardhatViemAssertions from "@nomicfoundation/hardhat-viem-assertions";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(import.meta.url);
const settings = JSON.parse(readFileSync(new URL("./contracts/solc-settings.json", import.meta.url), "utf8"));

// The harness as the verifier, whose insides it shows.
const throughYul = [...settings.viaIR.map((name) => `contracts/${name}.sol`), "tests/contracts/harness/PDPHarness.sol"];
const compiler = { version: "0.8.37", path: require.resolve("solc/soljson.js") };

// Hardhat only prints warnings, and only on the run that compiles. As errors they leave no artifact behind, so the
// build fails until they are mended.
const warningsAreErrors = {
  id: "warnings-are-errors",
  hookHandlers: {
    solidity: async () => ({
      default: async () => ({
        invokeSolc: async (context, compiler, input, config, next) => {
          const output = await next(context, compiler, input, config);
          const errors = (output.errors ?? []).map((error) =>
            error.severity === "warning" ? { ...error, type: "FatalWarning", severity: "error" } : error,
          );
          return { ...output, errors };
        },
      }),
    }),
  },
};

// The hard fork is the consortium's, so gas is too; the accounts are those of Hardhat's default mnemonic.
const consortium = { type: "edr-simulated", chainType: "l1", hardfork: "london", chainId: 31337 };
// A slot is seconds long and has more transactions than seconds: blocks may share a time, or the chain's clock would run
// ahead of everybody's.
const node = { ...consortium, allowBlocksWithSameTimestamp: true };
const accounts = { count: 80, accountsBalance: 10n ** 24n };

export default {
  plugins: [hardhatNodeTestRunner, hardhatViem, hardhatViemAssertions, warningsAreErrors],
  solidity: {
    compilers: [{ ...compiler, settings: settings.default }],
    overrides: Object.fromEntries(
      throughYul.map((file) => [file, { ...compiler, settings: { ...settings.default, viaIR: true } }]),
    ),
  },
  // The harness shows tests the insides of a library: never deployed, so it isn't among the contracts.
  paths: { sources: ["./contracts", "./tests/contracts/harness"], tests: { nodejs: "./tests/contracts" }, artifacts: "./build/artifacts", cache: "./build/cache" },
  networks: {
    node: { ...node, accounts }, // what `hardhat node` serves
    default: { ...consortium, accounts }, // what the tests connect to
  },
};
