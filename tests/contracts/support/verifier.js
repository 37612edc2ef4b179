// The verifier on the chain, as attacks address it.
import assert from "node:assert/strict";
import { before } from "node:test";
import { refuses, viem } from "./consortium.js";
import { Artifact, BLOCK_BYTES, Key, content, prove, transcriptOf } from "./pdp.js";

/** Under this key and for this challenge, unless a test says otherwise. */
export const key = Key.known(0);
export const DATA = content("attacked", 5 * BLOCK_BYTES - 100);
export const artifact = new Artifact(DATA, { key });
export const challenge = artifact.challenge();

let verifier;
/** Deploys it for the tests of a suite. */
export const deployed = () =>
  before(async () => {
    verifier = await viem.deployContract("PDPVerifier");
  });

export const verify = (proof, asked = [challenge], { by = key.public, transcript = transcriptOf(asked) } = {}) =>
  verifier.read.verify([by, asked, transcript, proof]);
export const verifyClaimed = (claimed, { by = key.public, transcript = challenge.sigma } = {}) =>
  verifier.read.verifyClaimed([by, transcript, claimed]);
export const productOnChain = (asked = [challenge], by = key.public) => verifier.read.productOf([by, asked]);
export const derive = (modulus, exponentBits) => verifier.read.deriveKey([modulus, exponentBits]);

export const refused = (call, error, args = []) => refuses(call, verifier, error, args);
/** Another P, T or sigma makes another number of the transcript, which is hardly ever a prime. */
export const refusedAsAnother = (call) =>
  assert.rejects(call, (error) => ["PDPNotPrime", "PDPEquation"].includes(errorOf(error)));
/** Name of the contract's error, or undefined for a revert without one. */
export const errorOf = (error) => error.walk((cause) => cause.data?.errorName)?.data.errorName;
/** The proof of a spoiled holder, for the challenge of the artifact that was registered. */
export const answer = (holder, asked = challenge) => prove([holder], [asked]).proof;
