// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What an audit by SHA-256 inclusion proofs costs: the comparator of benchmarks/pdp_gas.py
/// @dev Leaves of 32 bytes, trees of 2^depth leaves; hashes as RFC 6962 has them. Records one word, as the audit does.
contract MerkleAudit {
    bytes32 public immutable root;
    uint256 public immutable depth;
    mapping(uint256 slot => uint256 acceptedAt) public accepted;

    error MerkleAuditWrongPath(uint256 index);

    constructor(bytes32 root_, uint256 depth_) {
        root = root_;
        depth = depth_;
    }

    /// @param paths for each drawn leaf: the leaf and its `depth` siblings, from the bottom.
    function prove(uint256 slot, bytes32 seed, bytes32[][] calldata paths) external {
        uint256 room;
        assembly ("memory-safe") {
            room := mload(0x40)
            mstore(0x40, add(room, 96))
        }
        for (uint256 j = 0; j < paths.length; ++j) {
            uint256 index = uint256(keccak256(abi.encode(seed, j))) & ((1 << depth) - 1);
            bytes32[] calldata path = paths[j];
            bytes32 node;
            assembly ("memory-safe") {
                mstore8(room, 0)
                mstore(add(room, 1), calldataload(path.offset))
                if iszero(staticcall(gas(), 2, room, 33, 0, 32)) { revert(0, 0) }
                node := mload(0)
                mstore8(room, 1)
                let end := add(path.offset, mul(32, path.length))
                for { let at_ := add(path.offset, 32) } lt(at_, end) { at_ := add(at_, 32) } {
                    let side := shl(5, and(index, 1))
                    mstore(add(add(room, 1), side), node)
                    mstore(add(add(room, 1), sub(32, side)), calldataload(at_))
                    if iszero(staticcall(gas(), 2, room, 65, 0, 32)) { revert(0, 0) }
                    node := mload(0)
                    index := shr(1, index)
                }
            }
            if (node != root || path.length != depth + 1) revert MerkleAuditWrongPath(j);
        }
        accepted[slot] = block.timestamp;
    }
}
