// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IPDPVerifier} from "../interfaces/IPDPVerifier.sol";
import {ISyncAudit} from "../interfaces/ISyncAudit.sol";
import {PDP} from "../lib/PDP.sol";
import {Beacons} from "./Beacons.sol";

/// @title Taggers' public keys
/// @dev A key is the code of a contract, read at a tenth of what storage costs: 0x00 (STOP, so that nobody can call it),
/// modulus (256), generator (256), owner (20).
abstract contract Keys is Beacons {
    struct KeyEntry {
        address data;
        uint32 exponentBits;
        uint64 revokedAt;
    }

    /// @inheritdoc ISyncAudit
    IPDPVerifier public immutable verifier;

    /// @dev By the first half of their ids: to find a second key of the same half takes 2^128 tries.
    mapping(bytes16 key => KeyEntry) internal _keys;

    constructor(IPDPVerifier verifier_) {
        if (address(verifier_) == address(0)) revert SyncAuditZeroValue();
        verifier = verifier_;
    }

    /// @inheritdoc ISyncAudit
    function registerKey(bytes calldata modulus, uint32 exponentBits) external returns (bytes32 keyId) {
        bytes memory generator;
        (keyId, generator) = verifier.deriveKey(modulus, exponentBits);
        KeyEntry storage key = _keys[bytes16(keyId)];
        if (key.data != address(0)) revert SyncAuditKeyExists(keyId);
        // Returns everything behind its first ten bytes.
        bytes memory creation = abi.encodePacked(hex"61021580600a3d393df300", modulus, generator, msg.sender);
        address data;
        assembly ("memory-safe") {
            data := create(0, add(creation, 32), mload(creation))
        }
        if (data == address(0)) revert SyncAuditZeroValue();
        (key.data, key.exponentBits) = (data, exponentBits);
        emit KeyRegistered(keyId, msg.sender, exponentBits, data);
    }

    /// @inheritdoc ISyncAudit
    function revokeKey(bytes32 keyId) external {
        (KeyEntry storage key, address owner) = _knownKey(keyId);
        if (owner != msg.sender && !IAccessControl(address(registry)).hasRole(0x00, msg.sender)) {
            revert SyncAuditNotKeyOwner(keyId, msg.sender);
        }
        if (key.revokedAt != 0) revert SyncAuditKeyRevoked(keyId);
        key.revokedAt = uint64(block.timestamp);
        emit KeyRevoked(keyId, msg.sender);
    }

    /// @inheritdoc ISyncAudit
    function keyOf(bytes32 keyId) external view returns (Key memory key) {
        KeyEntry storage entry = _keys[bytes16(keyId)];
        if (entry.data == address(0) || _keyIdOf(bytes16(keyId)) != keyId) return key;
        return Key(_ownerOf(entry.data), entry.exponentBits, entry.revokedAt, entry.data);
    }

    /// @dev A registered key, and who owns it.
    function _knownKey(bytes32 keyId) internal view returns (KeyEntry storage entry, address owner) {
        entry = _keys[bytes16(keyId)];
        if (entry.data == address(0) || _keyIdOf(bytes16(keyId)) != keyId) revert SyncAuditUnknownKey(keyId);
        owner = _ownerOf(entry.data);
    }

    function _keyIdOf(bytes16 key) internal view returns (bytes32) {
        return PDP.keyIdOf(_read(_keys[key].data, 1, 256), _keys[key].exponentBits);
    }

    function _ownerOf(address data) private view returns (address) {
        return address(bytes20(bytes32(_read(data, 513, 20))));
    }

    /// @dev A key as the verifier takes it.
    function _loadKey(bytes16 key) internal view returns (IPDPVerifier.Key memory) {
        KeyEntry memory entry = _keys[key];
        return IPDPVerifier.Key(_read(entry.data, 1, 256), _read(entry.data, 257, 256), entry.exponentBits);
    }

    function _read(address data, uint256 offset, uint256 length) private view returns (bytes memory part) {
        part = new bytes(length);
        assembly ("memory-safe") {
            extcodecopy(data, add(part, 32), offset, length)
        }
    }
}
