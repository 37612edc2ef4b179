// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ITwinRegistry} from "../interfaces/ITwinRegistry.sol";
import {StationSet} from "../lib/StationSet.sol";

/// @title Stations: admission, rosters, suspension
/// @dev Station indices are never used again: a bit in an old event means the same station for ever.
abstract contract Stations is ITwinRegistry, AccessControl {
    using StationSet for uint64;

    /// @dev One slot: whatever opens a round or votes reads it once. Epochs are counted from 1: 0 means never.
    struct Consortium {
        uint8 nextNumber; // number of stations plus one: never zero, so that no registration pays for a fresh slot
        uint64 active;
        uint64 producers;
        uint32 electedIn; // epoch of the newest election
        uint32 suspendedIn; // epoch of the guardian's newest suspension
        uint8 suspensions; // of the guardian in that epoch
    }

    /// @dev One slot and the roster's root. `active` is a copy of the consortium's: a vote reads one slot instead of two,
    /// 2,100 gas less for each, and the rare change of the set writes them all (`_setActive`).
    struct StationRecord {
        bool registered;
        bool suspended;
        uint8 index;
        uint32 rosterRevision;
        uint32 deviceCount;
        uint64 weight;
        uint64 active;
        bytes32 rosterRoot;
    }

    /// @notice Admits stations. Every station has a vote, so who holds this role decides about every quorum.
    bytes32 public constant REGISTRAR_ROLE = keccak256("REGISTRAR_ROLE");
    /// @notice Suspends stations at once, a few per epoch.
    bytes32 public constant GUARDIAN_ROLE = keccak256("GUARDIAN_ROLE");

    /// @inheritdoc ITwinRegistry
    uint32 public immutable epoch;

    Consortium internal _consortium;
    mapping(address account => StationRecord) internal _stations;
    mapping(uint8 index => address account) internal _stationAt;
    /// @dev By the accused's index.
    mapping(uint8 index => uint64 voters) private _suspensionVotes;
    /// @dev Not in the record: nothing that the ledger asks for is to become dearer.
    mapping(address station => bytes32 manifest) private _nodes;

    /// @param admin gets all roles; a multisig in production.
    constructor(address admin, uint32 epoch_) {
        // Without an admin no station could ever be admitted; an epoch of no seconds would be no limit.
        if (admin == address(0) || epoch_ == 0) revert TwinRegistryZeroValue();
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(REGISTRAR_ROLE, admin);
        _grantRole(GUARDIAN_ROLE, admin);
        epoch = epoch_;
        _consortium.nextNumber = 1;
    }

    /// @inheritdoc ITwinRegistry
    function registerStation(address station) external onlyRole(REGISTRAR_ROLE) returns (uint8 index) {
        if (station == address(0)) revert TwinRegistryZeroValue();
        StationRecord storage record = _stations[station];
        // A second index would be a second vote.
        if (record.registered) revert TwinRegistryAlreadyRegistered(station);
        uint8 number = _consortium.nextNumber;
        if (number > StationSet.MAX_STATIONS) revert TwinRegistryFull(StationSet.MAX_STATIONS);
        index = number - 1;
        _consortium.nextNumber = number + 1;
        record.registered = true;
        record.index = index;
        _stationAt[index] = station;
        _setActive(_consortium.active | StationSet.only(index));
        emit StationRegistered(station, index);
    }

    /// @inheritdoc ITwinRegistry
    function setWeight(address station, uint64 weight) external onlyRole(REGISTRAR_ROLE) {
        _stationRecord(station).weight = weight;
        emit WeightSet(station, weight);
    }

    /// @inheritdoc ITwinRegistry
    function suspendStation(address station, bytes32 evidence) external onlyRole(GUARDIAN_ROLE) {
        if (evidence == 0) revert TwinRegistryZeroValue();
        StationRecord storage record = _activeRecord(station);
        // The cap stops a stolen guardian's key from choosing the quorum by itself.
        uint32 current = _epochNow();
        uint8 used = _consortium.suspendedIn == current ? _consortium.suspensions : 0;
        uint8 cap = _suspensionsPerEpoch();
        if (used >= cap) revert TwinRegistrySuspensionCap(cap);
        _consortium.suspendedIn = current;
        _consortium.suspensions = used + 1;
        _suspend(record, station, evidence);
    }

    /// @inheritdoc ITwinRegistry
    function voteSuspend(address station, bytes32 evidence) external {
        if (evidence == 0) revert TwinRegistryZeroValue();
        uint64 voter = StationSet.only(_activeRecord(msg.sender).index);
        if (station == msg.sender) revert TwinRegistryOwnSuspension(station);
        StationRecord storage record = _activeRecord(station);
        uint64 voters = _suspensionVotes[record.index];
        // Stops one station from suspending another by voting twice.
        if (voters.has(voter)) revert TwinRegistryAlreadyVoted(msg.sender, station);
        voters |= voter;
        _suspensionVotes[record.index] = voters;
        emit SuspensionVoted(station, msg.sender, evidence);
        uint64 active = _consortium.active;
        // Who was suspended since it voted has no say any more.
        if ((voters & active).count() >= (2 * active.count() + 2) / 3) _suspend(record, station, evidence);
    }

    /// @inheritdoc ITwinRegistry
    function reinstateStation(address station) external onlyRole(REGISTRAR_ROLE) {
        StationRecord storage record = _stationRecord(station);
        if (!record.suspended) revert TwinRegistryNotSuspended(station);
        record.suspended = false;
        delete _suspensionVotes[record.index];
        _setActive(_consortium.active | StationSet.only(record.index));
        emit StationReinstated(station, msg.sender);
    }

    /// @inheritdoc ITwinRegistry
    function setRoster(bytes32 root, uint32 deviceCount) external {
        if (root == 0 || deviceCount == 0) revert TwinRegistryZeroValue();
        StationRecord storage record = _activeRecord(msg.sender);
        uint32 revision;
        // One roster in each second would take 136 years to reach 2^32.
        unchecked {
            revision = ++record.rosterRevision;
        }
        record.deviceCount = deviceCount;
        record.rosterRoot = root;
        emit RosterSet(msg.sender, root, deviceCount, revision);
    }

    /// @inheritdoc ITwinRegistry
    function setNodes(bytes32 manifest) external {
        // Stops a suspended station from going on with other devices, and anyone from naming nodes of a station.
        _activeRecord(msg.sender);
        _nodes[msg.sender] = manifest;
        emit NodesSet(msg.sender, manifest);
    }

    /// @inheritdoc ITwinRegistry
    function nodesOf(address station) external view returns (bytes32 manifest) {
        return _nodes[station];
    }

    /// @inheritdoc ITwinRegistry
    function stationOf(address account) external view returns (Station memory) {
        StationRecord storage record = _stations[account];
        return Station({
            registered: record.registered,
            suspended: record.suspended,
            index: record.index,
            rosterRevision: record.rosterRevision,
            deviceCount: record.deviceCount,
            weight: record.weight,
            rosterRoot: record.rosterRoot
        });
    }

    /// @inheritdoc ITwinRegistry
    function indexOf(address account) external view returns (uint8) {
        return _stationRecord(account).index;
    }

    /// @inheritdoc ITwinRegistry
    function stationAt(uint8 index) external view returns (address) {
        return _stationAt[index];
    }

    /// @inheritdoc ITwinRegistry
    function stationCount() external view returns (uint8) {
        return _consortium.nextNumber - 1;
    }

    /// @inheritdoc ITwinRegistry
    function stationSets() external view returns (uint64 active, uint64 producers) {
        Consortium storage consortium = _consortium;
        return (consortium.active, consortium.producers);
    }

    /// @inheritdoc ITwinRegistry
    function suspensionVotes(address station) external view returns (uint64 voters) {
        return _suspensionVotes[_stationRecord(station).index];
    }

    /// @inheritdoc ITwinRegistry
    function suspensionsPerEpoch() external view returns (uint8) {
        return _suspensionsPerEpoch();
    }

    /// @inheritdoc ITwinRegistry
    function submitterOf(address account) external view returns (uint8 index, bytes32 rosterRoot) {
        StationRecord storage record = _activeRecord(account);
        return (record.index, record.rosterRoot);
    }

    /// @inheritdoc ITwinRegistry
    function electorOf(address account) external view returns (uint8 index, uint64 active) {
        StationRecord storage record = _activeRecord(account);
        return (record.index, record.active);
    }

    /// @inheritdoc ITwinRegistry
    function electorsOf(address[] calldata accounts) external view returns (uint64 stations) {
        for (uint256 i = 0; i < accounts.length;) {
            address account = accounts[i];
            StationRecord storage record = _stations[account];
            // Read together and judged afterwards: a slot that is read between two jumps is read once.
            (bool registered, bool suspended, uint8 index) = (record.registered, record.suspended, record.index);
            if (!registered) revert TwinRegistryUnknownStation(account);
            if (suspended) revert TwinRegistrySuspended(account);
            stations |= StationSet.only(index);
            // Unchecked: there are no more than the calldata has bytes.
            unchecked {
                ++i;
            }
        }
    }

    function _stationRecord(address account) internal view returns (StationRecord storage record) {
        record = _stations[account];
        if (!record.registered) revert TwinRegistryUnknownStation(account);
    }

    function _activeRecord(address account) internal view returns (StationRecord storage record) {
        record = _stationRecord(account);
        if (record.suspended) revert TwinRegistrySuspended(account);
    }

    /// @dev Epochs begin at multiples of their length; the first one has the number 1.
    function _epochNow() internal view returns (uint32) {
        return uint32(block.timestamp / epoch) + 1;
    }

    function _suspensionsPerEpoch() private view returns (uint8) {
        uint8 third = (_consortium.nextNumber - 1) / 3;
        return third == 0 ? 1 : third;
    }

    function _suspend(StationRecord storage record, address station, bytes32 evidence) private {
        record.suspended = true;
        _setActive(_consortium.active & ~StationSet.only(record.index));
        emit StationSuspended(station, msg.sender, evidence);
    }

    function _setActive(uint64 active) private {
        _consortium.active = active;
        uint8 stations = _consortium.nextNumber - 1;
        for (uint8 index = 0; index < stations; ++index) {
            _stations[_stationAt[index]].active = active;
        }
    }
}
