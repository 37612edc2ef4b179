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
        for (uint256 j = 0; j < paths.length; ++j) {
            uint256 index = uint256(keccak256(abi.encode(seed, j))) & ((1 << depth) - 1);
            bytes32 node = sha256(abi.encodePacked(uint8(0), paths[j][0]));
            for (uint256 level = 1; level <= depth; ++level) {
                bytes32 sibling = paths[j][level];
                node = index & 1 == 0
                    ? sha256(abi.encodePacked(uint8(1), node, sibling))
                    : sha256(abi.encodePacked(uint8(1), sibling, node));
                index >>= 1;
            }
            if (node != root) revert MerkleAuditWrongPath(j);
        }
        accepted[slot] = block.timestamp;
    }
}
