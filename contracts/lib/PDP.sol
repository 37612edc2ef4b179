// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPDPVerifier} from "../interfaces/IPDPVerifier.sol";
import {Modular} from "./Modular.sol";

/// @title Verification of proofs of data possession
/// @dev docs/protocol-pdp.md; the same as chain/pdp/. A proof shows knowledge of M with T^e = P·g^M, by a proof of
/// exponentiation (D. Boneh, B. Bünz, B. Fisch, Batching techniques for accumulators, CRYPTO 2019, section 3).
library PDP {
    bytes32 private constant KEY = keccak256("twin-pdp/v1/key");
    bytes32 private constant GENERATOR = keccak256("twin-pdp/v1/generator");
    bytes32 private constant PRIME = keccak256("twin-pdp/v1/prime");
    bytes32 private constant MILLER_RABIN = keccak256("twin-pdp/v1/miller-rabin");

    uint256 internal constant PROOF_BYTES = 546;
    uint256 internal constant CLAIMED_BYTES = 802;
    /// @dev Candidates are hashes, so the average case bounds the error: below 2^-100 each (I. Damgård, P. Landrock,
    /// C. Pomerance, Math. Comp. 61, 1993).
    uint256 private constant ROUNDS = 20;

    /// @dev A proof, taken apart: pointers to elements, and words.
    struct Parts {
        uint256 field;
        uint256 tag; // T
        uint256 quotient; // Q
        uint256 product; // P
        uint256 residue; // r
        uint256 nonce;
    }

    /// @notice As `IPDPVerifier.verify`.
    function verify(
        IPDPVerifier.Key calldata key,
        IPDPVerifier.Challenge[] calldata challenges,
        bytes32 transcript,
        bytes calldata proof
    ) internal view {
        if (proof.length != PROOF_BYTES) revert IPDPVerifier.PDPLength(PROOF_BYTES, proof.length);
        Parts memory parts = _take(key, proof);
        // Computed, never read: a product of the prover's choice proves nothing.
        parts.product = product(parts.field, challenges);
        _check(parts, key, transcript);
    }

    /// @notice As `IPDPVerifier.verifyClaimed`.
    function verifyClaimed(IPDPVerifier.Key calldata key, bytes32 transcript, bytes calldata claimed)
        internal
        view
        returns (bytes32 hash)
    {
        if (claimed.length != CLAIMED_BYTES) revert IPDPVerifier.PDPLength(CLAIMED_BYTES, claimed.length);
        Parts memory parts = _take(key, claimed);
        parts.product = Modular.load(claimed, PROOF_BYTES);
        _check(parts, key, transcript);
        hash = keccak256(claimed[PROOF_BYTES:]);
    }

    /// @notice The product of all challenged domain hashes to their coefficients.
    /// @dev t factors are folded by `mul4`, which leaves 4^(t-1); the inverse of 2 takes it away again, so that the
    /// product is the same element everywhere. Where nothing is asked nothing would be proven: there is no product.
    function product(uint256 field, IPDPVerifier.Challenge[] calldata challenges)
        internal
        view
        returns (uint256 result)
    {
        if (challenges.length == 0) revert IPDPVerifier.PDPRange();
        result = Modular.allocate();
        uint256 factor = Modular.allocate();
        uint256 factors = 0;
        for (uint256 k = 0; k < challenges.length; ++k) {
            IPDPVerifier.Challenge memory challenge = challenges[k];
            uint256 draws = challenge.size < challenge.blocks ? challenge.size : challenge.blocks;
            if (draws == 0) revert IPDPVerifier.PDPRange();
            for (uint256 j = 0; j < draws; ++j) {
                if (factors == 0) {
                    _factor(field, challenge, j, result);
                } else {
                    _factor(field, challenge, j, factor);
                    Modular.mul4(field, result, factor, result);
                }
                ++factors;
            }
        }
        Modular.half(field, factor);
        Modular.power(field, factor, 2 * factors, factor);
        Modular.mul4(field, result, factor, result);
    }

    /// @notice Writes a number below 2^2047, as if drawn at random for (seed, index).
    /// @dev With fewer bits, or with g^H(i), a missing tag follows from others by Bézout's identity.
    function fullDomainHash(bytes32 seed, uint256 index, uint256 output) internal pure {
        assembly ("memory-safe") {
            mstore(0, seed)
            let first := shl(8, index)
            mstore(32, first)
            mstore(output, shr(1, shl(1, keccak256(0, 64))))
            for { let j := 1 } lt(j, 8) { j := add(j, 1) } {
                mstore(32, add(first, j))
                mstore(add(output, shl(5, j)), keccak256(0, 64))
            }
        }
    }

    /// @notice As `IPDPVerifier.deriveKey`.
    function deriveKey(bytes calldata modulus, uint32 exponentBits)
        internal
        view
        returns (bytes32 keyId, bytes memory generator)
    {
        _requireAllowed(modulus, exponentBits);
        keyId = keyIdOf(modulus, exponentBits);
        uint256 field = Modular.open(modulus);
        generator = new bytes(256);
        uint256 output;
        assembly ("memory-safe") {
            output := add(generator, 32)
        }
        // A square, so that it generates the group of squares; and of a hash, so that nobody knows its logarithm.
        fullDomainHash(_hash(GENERATOR, keyId), 0, Modular.baseOf(field));
        Modular.powerOfBase(field, 2, output);
        bool tooSmall;
        assembly ("memory-safe") {
            let high := 0
            for { let i := 0 } lt(i, 224) { i := add(i, 32) } { high := or(high, mload(add(output, i))) }
            tooSmall := and(iszero(high), lt(mload(add(output, 224)), 2))
        }
        if (tooSmall) revert IPDPVerifier.PDPBadKey();
    }

    /// @notice Identity of a key.
    function keyIdOf(bytes memory modulus, uint32 exponentBits) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(KEY, uint256(exponentBits), modulus));
    }

    /// @notice As `IPDPVerifier.blockBytes`. The exponents are Mersenne primes above every block: with a smaller one
    /// a holder keeps each block modulo the exponent, and drops the rest.
    function blockBytes(uint32 exponentBits) internal pure returns (uint32) {
        if (exponentBits == 44_497) return 4_096;
        if (exponentBits == 132_049) return 16_384;
        if (exponentBits == 756_839) return 65_536;
        return 0;
    }

    /// @notice Whether an odd number above 3 passes 20 rounds of Miller-Rabin with bases that follow from it.
    function isPrime(uint256 candidate) internal view returns (bool) {
        uint256 odd = candidate - 1;
        uint256 twos = 0;
        while (odd & 1 == 0) {
            odd >>= 1;
            ++twos;
        }
        bytes32 domain = MILLER_RABIN;
        uint256 seed;
        uint256 input;
        assembly ("memory-safe") {
            seed := mload(0x40) // domain, candidate, round
            input := add(seed, 96)
            mstore(0x40, add(input, 192))
            mstore(seed, domain)
            mstore(add(seed, 32), candidate)
            mstore(input, 32)
            mstore(add(input, 32), 32)
            mstore(add(input, 64), 32)
            mstore(add(input, 128), odd)
            mstore(add(input, 160), candidate)
        }
        for (uint256 i = 0; i < ROUNDS; ++i) {
            uint256 x;
            assembly ("memory-safe") {
                mstore(add(seed, 64), i)
                mstore(add(input, 96), add(mod(keccak256(seed, 96), sub(candidate, 3)), 2))
                // Without gas it returns nothing.
                if iszero(and(eq(returndatasize(), 32), staticcall(gas(), 5, input, 192, 0, 32))) { revert(0, 0) }
                x := mload(0)
            }
            if (x == 1 || x == candidate - 1) continue;
            bool composite = true;
            for (uint256 square = 1; square < twos; ++square) {
                x = mulmod(x, x, candidate);
                if (x == candidate - 1) {
                    composite = false;
                    break;
                }
            }
            if (composite) return false;
        }
        return true;
    }

    /// @dev Draw j of a challenge: the domain hash of its block to its coefficient.
    function _factor(uint256 field, IPDPVerifier.Challenge memory challenge, uint256 j, uint256 output) private view {
        uint256 drawn = uint256(_hash(challenge.sigma, bytes32(j)));
        uint256 index = challenge.blocks <= challenge.size ? j : (drawn >> 128) % challenge.blocks;
        fullDomainHash(challenge.tau, index, Modular.baseOf(field));
        uint256 coefficient = drawn & 0xffffffff;
        Modular.powerOfBase(field, coefficient == 0 ? 1 : coefficient, output);
    }

    /// @notice The field of a key, which is one that `deriveKey` could have allowed.
    function open(IPDPVerifier.Key calldata key) internal pure returns (uint256 field) {
        _requireAllowed(key.modulus, key.exponentBits);
        if (key.generator.length != 256) revert IPDPVerifier.PDPBadKey();
        field = Modular.open(key.modulus);
    }

    /// @dev An even modulus has no inverse of 2; a short one is below what the hashes reach, and `mul4` takes it away
    /// only once. Under another exponent a proof can be made without the data: with e = 1 it is P·g^M itself.
    function _requireAllowed(bytes calldata modulus, uint32 exponentBits) private pure {
        if (
            blockBytes(exponentBits) == 0 || modulus.length != 256 || uint8(modulus[0]) < 0x80
                || uint8(modulus[255]) & 1 == 0
        ) revert IPDPVerifier.PDPBadKey();
    }

    function _take(IPDPVerifier.Key calldata key, bytes calldata proof) private pure returns (Parts memory parts) {
        parts.field = open(key);
        parts.tag = Modular.load(proof, 0);
        parts.quotient = Modular.load(proof, 256);
        if (!Modular.inRange(parts.field, parts.tag) || !Modular.inRange(parts.field, parts.quotient)) {
            revert IPDPVerifier.PDPRange();
        }
        parts.residue = uint256(bytes32(proof[512:544]));
        parts.nonce = uint256(uint16(bytes2(proof[544:546])));
    }

    function _check(Parts memory parts, IPDPVerifier.Key calldata key, bytes32 transcript) private view {
        // Of a computed product too: modulo 3^1292 it can be 0, and 0 satisfies the equation without any data.
        if (!Modular.inRange(parts.field, parts.product)) revert IPDPVerifier.PDPRange();
        uint256 prime = _primeOf(parts, transcript);
        // With a composite whose factors are known a quotient could be found without the data.
        if (!isPrime(prime)) revert IPDPVerifier.PDPNotPrime();
        if (parts.residue >= prime) revert IPDPVerifier.PDPResidue();
        (uint256 field, uint256 left, uint256 right) = (parts.field, Modular.allocate(), Modular.allocate());
        // The exponent is 2^x - 1: one modexp of a word, whatever its 44,497 bits or more.
        uint256 exponent = Modular.wordPower(2, key.exponentBits, prime);
        exponent = exponent == 0 ? prime - 1 : exponent - 1;
        Modular.power(field, parts.tag, exponent, right);
        Modular.power(field, parts.quotient, prime, left);
        Modular.mul4(field, left, right, left); // 4·Q^l·T^(e mod l)
        Modular.power(field, Modular.load(key.generator, 0), parts.residue, right);
        Modular.mul4(field, parts.product, right, right); // 4·P·g^r
        // Multiplied out, never divided; both sides have the same factor 4.
        if (!Modular.equal(left, right)) revert IPDPVerifier.PDPEquation();
    }

    function _primeOf(Parts memory parts, bytes32 transcript) private pure returns (uint256 prime) {
        (uint256 tag, uint256 claimed, uint256 nonce) = (parts.tag, parts.product, parts.nonce);
        bytes32 domain = PRIME;
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, domain)
            mstore(add(at, 32), transcript)
            for { let i := 0 } lt(i, 256) { i := add(i, 32) } {
                mstore(add(add(at, 64), i), mload(add(tag, i)))
                mstore(add(add(at, 320), i), mload(add(claimed, i)))
            }
            mstore(add(at, 576), nonce)
            prime := or(keccak256(at, 608), or(1, shl(255, 1)))
        }
    }

    function _hash(bytes32 a, bytes32 b) private pure returns (bytes32 result) {
        assembly ("memory-safe") {
            mstore(0, a)
            mstore(32, b)
            result := keccak256(0, 64)
        }
    }
}
