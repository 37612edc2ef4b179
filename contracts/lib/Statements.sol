// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";

/// @title What devices and stations sign (EIP-712), and the leaves that stand for it
/// @dev The same as twins/contribution.py and twins/merkle.py. OpenZeppelin's EIP712 needs Cancun's opcodes.
library Statements {
    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant NAME = keccak256("Twinledger");
    bytes32 private constant VERSION = keccak256("1");
    bytes32 private constant CONTRIBUTION = keccak256(
        "Contribution(bytes32 twin,uint64 round,address station,bytes32 base,bytes32 digest,uint64 examples)"
    );
    bytes32 private constant RECEIPT = keccak256("Receipt(bytes32 twin,uint64 round,bytes32 leaf)");
    bytes32 private constant ATTESTATION =
        keccak256("Attestation(bytes32 twin,uint32 round,bytes32 model,uint64 excluded)");

    /// @notice The domain of the calling contract on this chain.
    function domain() internal view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN, NAME, VERSION, block.chainid, address(this)));
    }

    /// @notice What a device signs of an update that the ledger committed to.
    function contribution(IRoundLedger.Recorded calldata recorded, IRoundLedger.Contribution calldata given)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(
            abi.encode(
                CONTRIBUTION,
                recorded.update.twin,
                uint64(recorded.update.trainedRound),
                recorded.station,
                recorded.update.base,
                given.digest,
                given.examples
            )
        );
    }

    /// @notice What a station signs when it has accepted a contribution.
    function receiptOf(bytes32 twin, uint32 trainedRound, bytes32 leaf) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECEIPT, twin, uint64(trainedRound), leaf));
    }

    /// @notice What a station signs instead of voting.
    function attestation(bytes32 twin, uint32 round, bytes32 model, uint64 excluded) internal pure returns (bytes32) {
        return keccak256(abi.encode(ATTESTATION, twin, round, model, excluded));
    }

    /// @notice Who signed a statement under a domain; zero for a signature that nobody made, or with s in the upper half
    /// of the order: the second spelling of a signature would be a second leaf for one contribution (EIP-2).
    function signer(bytes32 separator, bytes32 statement, bytes memory signature) internal pure returns (address found) {
        (found,,) = ECDSA.tryRecover(keccak256(abi.encodePacked(hex"1901", separator, statement)), signature);
    }

    /// @notice The leaf of a contribution in its station's tree (StandardMerkleTree: hashed twice).
    function leafOf(IRoundLedger.Contribution calldata given) internal pure returns (bytes32) {
        return _twice(abi.encode(given.device, given.digest, given.examples, keccak256(given.signature)));
    }

    /// @notice The leaf of a device in a roster.
    function rosterLeafOf(address device) internal pure returns (bytes32) {
        return _twice(abi.encode(device));
    }

    function _twice(bytes memory data) private pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(data)));
    }
}
