// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ISyncAudit} from "../interfaces/ISyncAudit.sol";
import {StationSet} from "../lib/StationSet.sol";
import {Keys} from "./Keys.sol";

/// @title Who tags what for whom: policies, tags and duties
/// @dev What changes is in force from the next slot on, and what was in force stays known: the past can be judged
/// again at any time. Who makes tags can prove without any data, so a tagger vouches in its own lane only.
/// Every proof reads all three, at 2,100 gas for a slot of storage: so the newest entry of each lies where its mapping
/// points, and says how many are `past`, which are kept apart and read by who looks back.
abstract contract Lanes is Keys {
    using StationSet for uint64;

    bytes32 private constant TAG = keccak256("twin-pdp/v1/tag");
    uint8 private constant ALL_MODES = 0x0e; // Full, Optimistic, Quorum
    uint16 internal constant MAX_SIZE = 1024;
    /// @dev Index of an entry that is never written: at most one is, for each slot.
    uint32 private constant NEVER = type(uint32).max;

    /// @dev With the policy's members spelled out: a struct inside a struct begins a slot of its own.
    struct PolicyEntry {
        uint8 modes;
        uint16 size;
        uint8 minHolders;
        uint8 minTaggers;
        bool attestedCounts;
        uint64 taggers;
        uint32 activeFrom;
        uint32 past;
    }

    struct TagEntry {
        bytes32 tau;
        bytes16 key;
        uint32 version;
        uint32 blocks;
        uint32 activeFrom;
        uint32 past;
    }

    struct DutyEntry {
        address tagger;
        uint32 since;
        uint32 until;
        uint32 past;
    }

    /// @inheritdoc ISyncAudit
    uint8 public constant MAX_HOLDERS = 32;

    /// @inheritdoc ISyncAudit
    IRoundLedger public immutable ledger;

    mapping(bytes32 twin => PolicyEntry) private _policies;
    mapping(bytes32 twin => mapping(uint32 index => PolicyEntry)) private _pastPolicies;
    mapping(bytes32 twin => mapping(address tagger => TagEntry)) private _tags;
    mapping(bytes32 twin => mapping(address tagger => mapping(uint32 index => TagEntry))) private _pastTags;
    mapping(bytes32 twin => mapping(address holder => DutyEntry)) private _duties;
    mapping(bytes32 twin => mapping(address holder => mapping(uint32 index => DutyEntry))) private _pastDuties;
    mapping(bytes32 twin => address[]) internal _holders;
    mapping(bytes32 twin => mapping(address tagger => uint8)) private _laneSize;

    constructor(IRoundLedger ledger_) {
        if (address(ledger_) == address(0)) revert SyncAuditZeroValue();
        // A ledger of another consortium would name other models.
        if (address(ledger_.registry()) != address(registry)) revert SyncAuditZeroValue();
        ledger = ledger_;
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
        PolicyEntry memory last = _policies[twin];
        // The second of a slot replaces the first, which was never in force.
        uint32 past = last.past;
        if (last.modes != 0 && last.activeFrom != next) _pastPolicies[twin][past++] = last;
        _policies[twin] = PolicyEntry(
            policy.modes,
            policy.size,
            policy.minHolders,
            policy.minTaggers,
            policy.attestedCounts,
            policy.taggers,
            next,
            past
        );
        emit PolicySet(twin, policy, next);
    }

    /// @inheritdoc ISyncAudit
    function registerTags(bytes32 twin, bytes32 keyId, bytes32 root, uint64 length, bytes32 tags) external {
        _requireTagger(twin);
        (KeyEntry storage key, address owner) = _knownKey(keyId);
        if (owner != msg.sender) revert SyncAuditNotKeyOwner(keyId, msg.sender);
        if (key.revokedAt != 0) revert SyncAuditKeyRevoked(keyId);
        if (root == 0 || tags == 0) revert SyncAuditZeroValue();
        uint256 blockBytes = verifier.blockBytes(key.exponentBits);
        uint256 blocks = (uint256(length) + blockBytes - 1) / blockBytes;
        if (blocks == 0 || blocks > type(uint32).max) revert SyncAuditBadLength(length);
        (uint32 version, bytes32 manifest) = ledger.head(twin);
        if (manifest == 0) revert SyncAuditNoModel(twin);
        bytes32 tau = _tau(twin, version, manifest, keyId, root, length, blockBytes);
        _addTags(twin, keyId, TagEntry(tau, bytes16(keyId), version, uint32(blocks), _nextSlot(), 0));
        emit TagsRegistered(twin, version, msg.sender, keyId, root, length, tau, tags);
    }

    /// @inheritdoc ISyncAudit
    function assign(bytes32 twin, address holder) external {
        _requireTagger(twin);
        if (holder == address(0)) revert SyncAuditZeroValue();
        if (holder == msg.sender) revert SyncAuditOwnHolder(holder);
        DutyEntry memory last = _duties[twin][holder];
        if (last.until == type(uint32).max) revert SyncAuditAlreadyAssigned(twin, holder, last.tagger);
        // Per lane, so that no tagger can take all places of a twin.
        uint8 size = _laneSize[twin][msg.sender];
        if (size == MAX_HOLDERS) revert SyncAuditTooManyHolders(MAX_HOLDERS);
        _laneSize[twin][msg.sender] = size + 1;
        uint32 next = _nextSlot();
        // One that was ended in the slot that it was given in was never in force: a tagger that gives and ends in turn
        // can't make the past as long as it likes.
        uint32 past = last.past;
        if (last.tagger != address(0) && last.since != next) _pastDuties[twin][holder][past++] = last;
        _duties[twin][holder] = DutyEntry(msg.sender, next, type(uint32).max, past);
        _holders[twin].push(holder);
        emit HolderAssigned(twin, msg.sender, holder, next);
    }

    /// @inheritdoc ISyncAudit
    function unassign(bytes32 twin, address holder) external {
        DutyEntry storage duty = _duties[twin][holder];
        uint32 next = _nextSlot();
        if (duty.until != type(uint32).max || duty.tagger != msg.sender) {
            revert SyncAuditNotAssigned(twin, holder, next);
        }
        duty.until = next;
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
    function holdersOf(bytes32 twin) external view returns (address[] memory) {
        return _holders[twin];
    }

    /// @inheritdoc ISyncAudit
    function policyAt(bytes32 twin, uint32 slot) external view returns (Policy memory) {
        PolicyEntry memory entry = _policyAt(twin, slot);
        return Policy(
            entry.modes, entry.size, entry.minHolders, entry.minTaggers, entry.attestedCounts, entry.taggers
        );
    }

    /// @inheritdoc ISyncAudit
    function tagsAt(bytes32 twin, address tagger, uint32 slot) external view returns (TagSet memory) {
        TagEntry memory entry = _tagsAt(twin, tagger, slot);
        bytes32 keyId = entry.blocks == 0 ? bytes32(0) : _keyIdOf(entry.key);
        return TagSet(entry.tau, keyId, entry.version, entry.blocks, entry.activeFrom);
    }

    /// @inheritdoc ISyncAudit
    function dutyAt(bytes32 twin, address holder, uint32 slot) external view returns (Duty memory) {
        DutyEntry memory entry = _dutyAt(twin, holder, slot);
        return Duty(entry.tagger, entry.since, entry.until);
    }

    /// @dev The policy in force in a slot; all zero if there was none.
    function _policyAt(bytes32 twin, uint32 slot) internal view returns (PolicyEntry storage entry) {
        entry = _policies[twin];
        while (entry.activeFrom > slot) entry = _pastPolicies[twin][_before(entry.past)];
    }

    /// @dev The tags in force in a slot; all zero if there were none.
    function _tagsAt(bytes32 twin, address tagger, uint32 slot) internal view returns (TagEntry storage entry) {
        entry = _tags[twin][tagger];
        while (entry.activeFrom > slot) entry = _pastTags[twin][tagger][_before(entry.past)];
    }

    /// @dev A holder's duty in a slot; all zero if it had none.
    function _dutyAt(bytes32 twin, address holder, uint32 slot) internal view returns (DutyEntry storage entry) {
        entry = _duties[twin][holder];
        while (entry.since > slot) entry = _pastDuties[twin][holder][_before(entry.past)];
        if (entry.until <= slot) entry = _pastDuties[twin][holder][NEVER];
    }

    /// @dev Index of the entry before one with so many past ones; before the first there is nothing.
    function _before(uint32 past) private pure returns (uint32) {
        // Unchecked: 0 becomes NEVER.
        unchecked {
            return past - 1;
        }
    }

    /// @dev Reverts unless the sender is an active station that the twin's newest policy lets tag.
    function _requireTagger(bytes32 twin) private view {
        (uint8 index,) = registry.electorOf(msg.sender);
        if (!_newestTaggers(twin).has(StationSet.only(index))) revert SyncAuditNotTagger(twin, msg.sender);
    }

    /// @dev The stations that may tag, as the owner last said; reverts for a twin without a policy.
    function _newestTaggers(bytes32 twin) internal view returns (uint64) {
        PolicyEntry storage entry = _policies[twin];
        if (entry.modes == 0) revert SyncAuditNoPolicy(twin);
        return entry.taggers;
    }

    function _addTags(bytes32 twin, bytes32 keyId, TagEntry memory entry) private {
        TagEntry memory last = _tags[twin][msg.sender];
        if (last.blocks != 0) {
            if (last.version == entry.version && last.key == entry.key) {
                revert SyncAuditTagsExist(twin, entry.version, keyId);
            }
            entry.past = last.past;
            // Of several in a slot the last counts.
            if (last.activeFrom != entry.activeFrom) _pastTags[twin][msg.sender][entry.past++] = last;
        }
        _tags[twin][msg.sender] = entry;
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
}
