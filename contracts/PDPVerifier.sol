// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPDPVerifier} from "./interfaces/IPDPVerifier.sol";
import {PDP} from "./lib/PDP.sol";

/// @title What it takes to check a proof of data possession
contract PDPVerifier is IPDPVerifier {
    /// @inheritdoc IPDPVerifier
    function verify(Key calldata key, Challenge[] calldata challenges, bytes32 transcript, bytes calldata proof)
        external
        view
    {
        PDP.verify(key, challenges, transcript, proof);
    }

    /// @inheritdoc IPDPVerifier
    function verifyClaimed(Key calldata key, bytes32 transcript, bytes calldata claimed)
        external
        view
        returns (bytes32 product)
    {
        return PDP.verifyClaimed(key, transcript, claimed);
    }

    /// @inheritdoc IPDPVerifier
    function productOf(Key calldata key, Challenge[] calldata challenges) external view returns (bytes memory result) {
        uint256 element = PDP.product(PDP.open(key), challenges);
        result = new bytes(256);
        assembly ("memory-safe") {
            for { let i := 0 } lt(i, 256) { i := add(i, 32) } {
                mstore(add(add(result, 32), i), mload(add(element, i)))
            }
        }
    }

    /// @inheritdoc IPDPVerifier
    function deriveKey(bytes calldata modulus, uint32 exponentBits)
        external
        view
        returns (bytes32 keyId, bytes memory generator)
    {
        return PDP.deriveKey(modulus, exponentBits);
    }

    /// @inheritdoc IPDPVerifier
    function blockBytes(uint32 exponentBits) external pure returns (uint32) {
        return PDP.blockBytes(exponentBits);
    }
}
