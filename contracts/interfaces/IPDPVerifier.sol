// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What it takes to check a proof of data possession
/// @notice Stateless, on explicit inputs: docs/protocol-pdp.md has every byte. The same checks, in the same order and
/// under the same names, as `chain/pdp/verification.py`.
interface IPDPVerifier {
    /// @notice What a holder is asked about one artifact in one slot.
    struct Challenge {
        bytes32 tau; // domain of the tags
        bytes32 sigma; // seed of this holder's indices and coefficients
        uint32 blocks; // n, at least 1
        uint32 size; // c: how many blocks are asked for, all of them if there are no more
    }

    /// @notice A tagger's public key.
    struct Key {
        bytes modulus; // 256 bytes, odd, top bit set
        bytes generator; // 256 bytes
        uint32 exponentBits; // x: the public exponent is the Mersenne prime 2^x - 1
    }

    error PDPLength(uint256 expected, uint256 actual);
    error PDPRange();
    error PDPNotPrime();
    error PDPResidue();
    error PDPEquation();
    /// @notice No modulus of 256 bytes that is odd with its top bit set, or an exponent that isn't in the table.
    error PDPBadKey();

    /// @notice Reverts unless the proof (546 bytes) is one for all challenges together.
    /// @param transcript sigma of the one challenge; of a batch the hash of all.
    function verify(Key calldata key, Challenge[] calldata challenges, bytes32 transcript, bytes calldata proof)
        external
        view;

    /// @notice Reverts unless a claimed proof (802 bytes) is consistent with the product that it claims. That alone
    /// proves nothing: somebody has to compute the product.
    /// @return product keccak256 of the claimed product
    function verifyClaimed(Key calldata key, bytes32 transcript, bytes calldata claimed)
        external
        view
        returns (bytes32 product);

    /// @notice The product of the challenged tags' domain hashes to their coefficients, 256 bytes.
    function productOf(Key calldata key, Challenge[] calldata challenges) external view returns (bytes memory);

    /// @notice Identity and generator of a key; reverts with `PDPBadKey` for one that isn't allowed.
    function deriveKey(bytes calldata modulus, uint32 exponentBits)
        external
        view
        returns (bytes32 keyId, bytes memory generator);

    /// @notice Bytes of a block under an exponent, or zero for one that isn't in the table.
    function blockBytes(uint32 exponentBits) external pure returns (uint32);
}
