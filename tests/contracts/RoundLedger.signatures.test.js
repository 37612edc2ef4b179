import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import hre from "hardhat";
import { getAddress, hashDomain, zeroAddress } from "viem";
import {
  Consortium,
  Status,
  ZERO,
  accounts,
  digest,
  idOf,
  people,
  provider,
  refuses,
  setOf,
  viem,
} from "./support/consortium.js";
import { CHAIN_ID, Evidence, domainOf, mirrored } from "./support/evidence.js";

const [A, B] = ["model A", "model B"].map(digest);

describe("RoundLedger: a model made final by signatures", () => {
  let c;
  let evidence;
  let order; // indices of the stations, ascending by address
  beforeEach(async () => {
    c = await Consortium.create(4); // quorum 3
    evidence = new Evidence(c);
    order = [...c.stations.keys()].sort((a, b) => (BigInt(c.stations[a]) < BigInt(c.stations[b]) ? -1 : 1));
    await c.openAndSubmit(1);
  });
  const address = (index) => getAddress(c.stations[index]);
  const finalize = (model, signers, signatures, { number = 1, by = people.outsider } = {}) =>
    c.ledger.write.finalizeSigned([c.twin, number, model, signers, signatures], { account: by });
  /** Signed by these stations, in this order; `change` is what they sign otherwise. */
  const signed = async (indices, model = A, change = {}) => [
    indices.map((index) => c.stations[index]),
    await Promise.all(indices.map((index) => evidence.attestation(index, 1, model, change))),
  ];
  const noQuorum = (call, actual, quorum = 3) =>
    refuses(call, c.ledger, "RoundLedgerNoQuorum", [c.twin, 1, quorum, actual]);

  it("needs a quorum of electors, whoever brings them, and names those who signed", async () => {
    const three = order.slice(1);
    await noQuorum(finalize(A, ...(await signed(order.slice(2)))), 2);
    const call = finalize(A, ...(await signed(three)));
    await viem.assertions.emitWithArgs(call, c.ledger, "RoundFinal", [
      c.twin,
      1,
      c.genesis,
      A,
      setOf(...three),
      setOf(0, 1, 2, 3),
    ]);
    assert.deepEqual(await c.head(), { number: 1, model: A });
    assert.equal(await c.status(), Status.Final);
  });

  it("is refused with unsorted signers, and one who comes twice counts once", async () => {
    const [first, second, third] = order;
    const unsorted = finalize(A, ...(await signed([second, first, third])));
    await refuses(unsorted, c.ledger, "RoundLedgerUnsortedSigners", [address(second), address(first)]);
    const twice = finalize(A, ...(await signed([first, second, second])));
    await refuses(twice, c.ledger, "RoundLedgerUnsortedSigners", [address(second), address(second)]);
    const nobody = finalize(A, [zeroAddress], ["0x"]);
    await refuses(nobody, c.ledger, "RoundLedgerUnsortedSigners", [zeroAddress, zeroAddress]);
  });

  it("is refused with a foreign signer: an outsider, or a station that came in mid-round", async () => {
    const statement = (by) => evidence.attestationOf(by, 1, A);
    await refuses(
      finalize(A, [people.outsider], [await statement(people.outsider)]),
      c.registry,
      "TwinRegistryUnknownStation",
      [getAddress(people.outsider)],
    );
    await c.admit(accounts[4]);
    const late = finalize(A, [accounts[4]], [await statement(accounts[4])]);
    await refuses(late, c.ledger, "RoundLedgerNotElector", [c.twin, 1, getAddress(accounts[4])]);
  });

  it("is refused with a signature of a suspended station", async () => {
    const [first, ...others] = order;
    const signatures = await signed(order, A, { excluded: setOf(first) });
    await c.suspend(first);
    await refuses(finalize(A, ...signatures), c.registry, "TwinRegistrySuspended", [address(first)]);
    await finalize(A, ...(await signed(others, A, { excluded: setOf(first) })));
    assert.deepEqual(await c.head(), { number: 1, model: A });
  });

  it("is refused with signatures for another model, round, twin, chain or ledger", async () => {
    const one = order.slice(0, 1);
    const foreign = async (signatures) => {
      const actual = await evidence.attestationSigner(1, A, 0n, signatures[1][0]);
      assert.notEqual(actual, address(one[0]));
      await refuses(finalize(A, ...signatures), c.ledger, "RoundLedgerBadSignature", [address(one[0]), actual]);
    };
    await foreign(await signed(one, B));
    await foreign([[c.stations[one[0]]], [await evidence.attestation(one[0], 2, A)]]);
    await foreign(await signed(one, A, { twin: idOf("another twin") }));
    await foreign(await signed(one, A, { domain: domainOf(c.ledger, 1) }));
    await foreign(await signed(one, A, { domain: domainOf(c.registry) }));
  });

  it("is refused with signatures for another set of rejected updates: they voted for another model's parts", async () => {
    const before = await signed(order.slice(1));
    for (const by of [0, 1, 2]) await c.dispute(by, 1, 3);
    const actual = await evidence.attestationSigner(1, A, setOf(3), before[1][0]);
    await refuses(finalize(A, ...before), c.ledger, "RoundLedgerBadSignature", [address(order[1]), actual]);
    await finalize(A, ...(await signed(order.slice(1), A, { excluded: setOf(3) })));
    assert.deepEqual(await c.head(), { number: 1, model: A });
  });

  it("is refused with one station's signature under another's name", async () => {
    const [signers, signatures] = await signed(order.slice(1));
    const swapped = finalize(A, signers, [signatures[1], signatures[0], signatures[2]]);
    await refuses(swapped, c.ledger, "RoundLedgerBadSignature", [address(order[1]), address(order[2])]);
  });

  it("is refused with a high s: a signature has one spelling", async () => {
    const [signers, signatures] = await signed(order.slice(1));
    const high = finalize(A, signers, [mirrored(signatures[0]), ...signatures.slice(1)]);
    await refuses(high, c.ledger, "RoundLedgerBadSignature", [address(order[1]), zeroAddress]);
  });

  it("is refused with too few, with none, and with lists of different lengths", async () => {
    const [signers, signatures] = await signed(order.slice(1));
    await noQuorum(finalize(A, [], []), 0);
    await noQuorum(finalize(A, signers, signatures.slice(1)), 0);
    await noQuorum(finalize(A, signers.slice(1), signatures), 0);
    await noQuorum(finalize(A, signers.slice(1), signatures.slice(1)), 2);
  });

  it("is refused for no model, another round, and outside the attest window", async () => {
    const signatures = await signed(order.slice(1));
    await refuses(finalize(ZERO, ...signatures), c.ledger, "RoundLedgerZeroValue", []);
    for (const number of [0, 2]) {
      const call = finalize(A, ...signatures, { number });
      await refuses(call, c.ledger, "RoundLedgerUnexpectedRound", [c.twin, 1, number]);
    }
    await c.pastAttesting();
    const expired = finalize(A, ...signatures);
    await refuses(expired, c.ledger, "RoundLedgerUnexpectedStatus", [c.twin, 1, Status.Expired]);
    await c.abort(1);
    await c.open(2);
    const early = finalize(A, ...signatures, { number: 2 });
    await refuses(early, c.ledger, "RoundLedgerUnexpectedStatus", [c.twin, 2, Status.Submitting]);
  });

  it("happens once, and closes the votes", async () => {
    const signatures = await signed(order.slice(1));
    await c.attest(0, 1, B);
    await finalize(A, ...signatures);
    const final = [c.twin, 1, Status.Final];
    await refuses(finalize(A, ...signatures), c.ledger, "RoundLedgerUnexpectedStatus", final);
    await refuses(c.attest(1, 1, A), c.ledger, "RoundLedgerUnexpectedStatus", final);
    assert.equal(await c.votesFor(B), setOf(0)); // the vote stays readable
  });

  it("counts signatures apart from votes: neither fills up the other", async () => {
    await c.attest(order[3], 1, A);
    await noQuorum(finalize(A, ...(await signed(order.slice(0, 2)))), 2);
  });
});

describe("RoundLedger: the domain of signatures", () => {
  const separator = (verifyingContract, chainId) =>
    hashDomain({
      domain: { name: "Twinledger", version: "1", chainId, verifyingContract },
      types: {
        EIP712Domain: [
          { name: "name", type: "string" },
          { name: "version", type: "string" },
          { name: "chainId", type: "uint256" },
          { name: "verifyingContract", type: "address" },
        ],
      },
    });

  it("is EIP-712's, of this chain and this ledger", async () => {
    const { ledger } = await Consortium.bare(0);
    assert.equal(await ledger.read.domainSeparator(), separator(ledger.address, CHAIN_ID));
  });

  it("is another once the chain's id is: a fork takes no signature of before", async () => {
    // The code as another chain's deployment left it, with that chain's id in it, on this chain.
    const elsewhere = await hre.network.create({ network: "default", override: { chainId: 7 } });
    const ledger = await elsewhere.viem.deployContract("RoundLedger", [people.admin]);
    assert.equal(await ledger.read.domainSeparator(), separator(ledger.address, 7));
    const client = await elsewhere.viem.getPublicClient();
    const code = await client.getCode({ address: ledger.address });
    await elsewhere.close();
    const moved = "0x00000000000000000000000000000000000f0f0f";
    await provider.request({ method: "hardhat_setCode", params: [moved, code] });
    const here = await viem.getContractAt("RoundLedger", moved);
    assert.equal(await here.read.domainSeparator(), separator(moved, CHAIN_ID));
  });
});
