// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IPDPVerifier} from "../interfaces/IPDPVerifier.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ISyncAudit} from "../interfaces/ISyncAudit.sol";
import {StationSet} from "../lib/StationSet.sol";
import {Beacons} from "./Beacons.sol";

/// @title Who tags what for whom: keys, policies, tags and duties
/// @dev What changes is in force from the next slot on, and what was in force stays known: the past can be judged
/// again at any time. Who makes tags can prove without any data, so a tagger vouches in its own lane only.
abstract contract Lanes is Beacons {
    using StationSet for uint64;

    bytes32 private constant TAG = keccak256("twin-pdp/v1/tag");
    uint8 private constant ALL_MODES = 0x0e; // Full, Optimistic, Quorum
    uint16 private constant MAX_SIZE = 1024;

    struct PolicyEntry {
        Policy policy;
        uint32 activeFrom;
    }

    /// @inheritdoc ISyncAudit
    uint8 public constant MAX_HOLDERS = 32;

    /// @inheritdoc ISyncAudit
    IRoundLedger public immutable ledger;
    /// @inheritdoc ISyncAudit
    IPDPVerifier public immutable verifier;

    mapping(bytes32 keyId => Key) internal _keys;
    mapping(bytes32 twin => PolicyEntry[]) private _policies;
    mapping(bytes32 twin => mapping(address tagger => TagSet[])) private _tags;
    mapping(bytes32 twin => mapping(address holder => Duty[])) private _duties;
    mapping(bytes32 twin => address[]) internal _holders;
    mapping(bytes32 twin => mapping(address tagger => uint8)) private _laneSize;

    constructor(IRoundLedger ledger_, IPDPVerifier verifier_) {
        if (address(ledger_) == address(0) || address(verifier_) == address(0)) revert SyncAuditZeroValue();
        // A ledger of another consortium would name other models.
        if (address(ledger_.registry()) != address(registry)) revert SyncAuditZeroValue();
        ledger = ledger_;
        verifier = verifier_;
    }

    /// @inheritdoc ISyncAudit
    function registerKey(bytes calldata modulus, uint32 exponentBits) external returns (bytes32 keyId) {
        bytes memory generator;
        (keyId, generator) = verifier.deriveKey(modulus, exponentBits);
        if (_keys[keyId].owner != address(0)) revert SyncAuditKeyExists(keyId);
        // As code of a contract: read at a tenth of what storage costs. Returns everything behind its first ten bytes,
        // which begins with 0x00 (STOP), so that nobody can call it.
        bytes memory creation = abi.encodePacked(hex"61020180600a3d393df300", modulus, generator);
        address data;
        assembly ("memory-safe") {
            data := create(0, add(creation, 32), mload(creation))
        }
        if (data == address(0)) revert SyncAuditZeroValue();
        _keys[keyId] = Key(msg.sender, exponentBits, 0, data);
        emit KeyRegistered(keyId, msg.sender, exponentBits, data);
    }

    /// @inheritdoc ISyncAudit
    function revokeKey(bytes32 keyId) external {
        Key storage key = _keys[keyId];
        address owner = key.owner;
        if (owner == address(0)) revert SyncAuditUnknownKey(keyId);
        if (owner != msg.sender && !IAccessControl(address(registry)).hasRole(0x00, msg.sender)) {
            revert SyncAuditNotKeyOwner(keyId, msg.sender);
        }
        if (key.revokedAt != 0) revert SyncAuditKeyRevoked(keyId);
        key.revokedAt = uint64(block.timestamp);
        emit KeyRevoked(keyId, msg.sender);
    }

    /// @inheritdoc ISyncAudit
    function setPolicy(bytes32 twin, Policy calldata policy) external {
        if (registry.twinOf(twin).owner != msg.sender) revert SyncAuditNotTwinOwner(twin, msg.sender);
        if (
            policy.modes == 0 || policy.modes & ~ALL_MODES != 0 || policy.size == 0 || policy.size > MAX_SIZE
                || policy.minHolders == 0 || policy.minTaggers == 0
                || policy.taggers.count() < policy.minTaggers
        ) revert SyncAuditBadPolicy();
        uint32 next = _nextSlot();
        PolicyEntry[] storage entries = _policies[twin];
        // The second of a slot replaces the first, which was never in force.
        if (entries.length != 0 && entries[entries.length - 1].activeFrom == next) entries.pop();
        entries.push(PolicyEntry(policy, next));
        emit PolicySet(twin, policy, next);
    }

    /// @inheritdoc ISyncAudit
    function registerTags(bytes32 twin, bytes32 keyId, bytes32 root, uint64 length, bytes32 tags) external {
        _requireTagger(twin);
        Key storage key = _keys[keyId];
        if (key.owner == address(0)) revert SyncAuditUnknownKey(keyId);
        if (key.owner != msg.sender) revert SyncAuditNotKeyOwner(keyId, msg.sender);
        if (key.revokedAt != 0) revert SyncAuditKeyRevoked(keyId);
        if (root == 0 || tags == 0) revert SyncAuditZeroValue();
        uint256 blockBytes = verifier.blockBytes(key.exponentBits);
        uint256 blocks = (uint256(length) + blockBytes - 1) / blockBytes;
        if (blocks == 0 || blocks > type(uint32).max) revert SyncAuditBadLength(length);
        (uint32 version, bytes32 manifest) = ledger.head(twin);
        if (manifest == 0) revert SyncAuditNoModel(twin);
        bytes32 tau = _tau(twin, version, manifest, keyId, root, length, blockBytes);
        _addTags(twin, TagSet(tau, keyId, version, uint32(blocks), _nextSlot()));
        emit TagsRegistered(twin, version, msg.sender, keyId, root, length, tau, tags);
    }

    /// @inheritdoc ISyncAudit
    function assign(bytes32 twin, address holder) external {
        _requireTagger(twin);
        if (holder == address(0)) revert SyncAuditZeroValue();
        if (holder == msg.sender) revert SyncAuditOwnHolder(holder);
        Duty[] storage duties = _duties[twin][holder];
        if (duties.length != 0) {
            Duty storage last = duties[duties.length - 1];
            if (last.until == type(uint32).max) revert SyncAuditAlreadyAssigned(twin, holder, last.tagger);
        }
        // Per lane, so that no tagger can take all places of a twin.
        uint8 size = _laneSize[twin][msg.sender];
        if (size == MAX_HOLDERS) revert SyncAuditTooManyHolders(MAX_HOLDERS);
        _laneSize[twin][msg.sender] = size + 1;
        uint32 next = _nextSlot();
        duties.push(Duty(msg.sender, next, type(uint32).max));
        _holders[twin].push(holder);
        emit HolderAssigned(twin, msg.sender, holder, next);
    }

    /// @inheritdoc ISyncAudit
    function unassign(bytes32 twin, address holder) external {
        Duty[] storage duties = _duties[twin][holder];
        uint32 next = _nextSlot();
        uint256 length = duties.length;
        if (length == 0 || duties[length - 1].until != type(uint32).max || duties[length - 1].tagger != msg.sender) {
            revert SyncAuditNotAssigned(twin, holder, next);
        }
        duties[length - 1].until = next;
        --_laneSize[twin][msg.sender];
        address[] storage holders = _holders[twin];
        uint256 last = holders.length - 1;
        for (uint256 i = 0; i <= last; ++i) {
            if (holders[i] == holder) {
                holders[i] = holders[last];
                break;
            }
        }
        holders.pop();
        emit HolderUnassigned(twin, msg.sender, holder, next);
    }

    /// @inheritdoc ISyncAudit
    function keyOf(bytes32 keyId) external view returns (Key memory) {
        return _keys[keyId];
    }

    /// @inheritdoc ISyncAudit
    function holdersOf(bytes32 twin) external view returns (address[] memory) {
        return _holders[twin];
    }

    /// @inheritdoc ISyncAudit
    function policyAt(bytes32 twin, uint32 slot) public view returns (Policy memory policy) {
        PolicyEntry[] storage entries = _policies[twin];
        for (uint256 i = entries.length; i > 0; --i) {
            if (entries[i - 1].activeFrom <= slot) return entries[i - 1].policy;
        }
    }

    /// @inheritdoc ISyncAudit
    function tagsAt(bytes32 twin, address tagger, uint32 slot) public view returns (TagSet memory set) {
        TagSet[] storage sets = _tags[twin][tagger];
        // Nearly always the last or the one before: from the end.
        for (uint256 i = sets.length; i > 0; --i) {
            if (sets[i - 1].activeFrom <= slot) return sets[i - 1];
        }
    }

    /// @inheritdoc ISyncAudit
    function dutyAt(bytes32 twin, address holder, uint32 slot) public view returns (Duty memory duty) {
        Duty[] storage duties = _duties[twin][holder];
        for (uint256 i = duties.length; i > 0; --i) {
            if (duties[i - 1].since > slot) continue;
            if (slot < duties[i - 1].until) return duties[i - 1];
            return duty;
        }
    }

    /// @dev Reverts unless the sender is an active station that the twin's newest policy lets tag.
    function _requireTagger(bytes32 twin) private view {
        (uint8 index,) = registry.electorOf(msg.sender);
        if (!_newestTaggers(twin).has(StationSet.only(index))) revert SyncAuditNotTagger(twin, msg.sender);
    }

    /// @dev The stations that may tag, as the owner last said; reverts for a twin without a policy.
    function _newestTaggers(bytes32 twin) internal view returns (uint64) {
        PolicyEntry[] storage entries = _policies[twin];
        if (entries.length == 0) revert SyncAuditNoPolicy(twin);
        return entries[entries.length - 1].policy.taggers;
    }

    function _addTags(bytes32 twin, TagSet memory set) private {
        TagSet[] storage sets = _tags[twin][msg.sender];
        uint256 length = sets.length;
        if (length != 0) {
            TagSet storage last = sets[length - 1];
            if (last.version == set.version && last.keyId == set.keyId) {
                revert SyncAuditTagsExist(twin, set.version, set.keyId);
            }
            if (last.activeFrom == set.activeFrom) {
                sets[length - 1] = set;
                return;
            }
        }
        sets.push(set);
    }

    /// @dev With the root in it, two contents never share a tag's hash: that would give away the root of g.
    function _tau(
        bytes32 twin,
        uint32 version,
        bytes32 manifest,
        bytes32 keyId,
        bytes32 root,
        uint64 length,
        uint256 blockBytes
    ) private view returns (bytes32) {
        return keccak256(
            abi.encode(
                TAG, block.chainid, address(this), twin, version, manifest, keyId, root, length, blockBytes
            )
        );
    }

    /// @dev A key as the verifier takes it.
    function _loadKey(bytes32 keyId) internal view returns (IPDPVerifier.Key memory key) {
        Key storage stored = _keys[keyId];
        key.modulus = new bytes(256);
        key.generator = new bytes(256);
        key.exponentBits = stored.exponentBits;
        (address data, bytes memory modulus, bytes memory generator) = (stored.data, key.modulus, key.generator);
        assembly ("memory-safe") {
            extcodecopy(data, add(modulus, 32), 1, 256)
            extcodecopy(data, add(generator, 32), 257, 256)
        }
    }
}
