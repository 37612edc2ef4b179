// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ITwinRegistry} from "./interfaces/ITwinRegistry.sol";
import {StationSet} from "./lib/StationSet.sol";

/// @title Who and what exists in the consortium
/// @dev Station indices are never used again: a bit in an old event means the same station for ever.
contract TwinRegistry is ITwinRegistry, AccessControl {
    /// @dev One slot, with the policy's members spelled out: a struct inside a struct begins a slot of its own.
    struct TwinRecord {
        address owner;
        uint32 revision;
        uint24 minSubmitFor;
        uint24 minAttestFor;
        uint8 minUpdates;
        bytes32 manifest;
    }

    /// @notice Admits stations. Every station has a vote, so who holds this role decides about every quorum.
    bytes32 public constant REGISTRAR_ROLE = keccak256("REGISTRAR_ROLE");

    /// @dev Number of stations plus one: never zero, so that no registration pays for a fresh slot.
    uint8 private _nextNumber = 1;
    mapping(address account => Station) private _stations;
    mapping(uint8 index => address account) private _stationAt;
    mapping(bytes32 twin => TwinRecord) private _twins;

    /// @param admin gets `DEFAULT_ADMIN_ROLE` and `REGISTRAR_ROLE`; a multisig in production.
    constructor(address admin) {
        // Without an admin no station could ever be admitted.
        if (admin == address(0)) revert TwinRegistryZeroValue();
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(REGISTRAR_ROLE, admin);
    }

    /// @inheritdoc ITwinRegistry
    function registerStation(address station) external onlyRole(REGISTRAR_ROLE) returns (uint8 index) {
        if (station == address(0)) revert TwinRegistryZeroValue();
        Station storage record = _stations[station];
        // A second index would be a second vote.
        if (record.registered) revert TwinRegistryAlreadyRegistered(station);
        uint8 number = _nextNumber;
        if (number > StationSet.MAX_STATIONS) revert TwinRegistryFull(StationSet.MAX_STATIONS);
        _nextNumber = number + 1;
        index = number - 1;
        record.registered = true;
        record.index = index;
        _stationAt[index] = station;
        emit StationRegistered(station, index);
    }

    /// @inheritdoc ITwinRegistry
    function setRoster(bytes32 root, uint32 deviceCount) external {
        if (root == 0 || deviceCount == 0) revert TwinRegistryZeroValue();
        Station storage record = _stationRecord(msg.sender);
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
    function registerTwin(bytes32 twin, bytes32 manifest, RoundPolicy calldata policy) external {
        if (twin == 0 || manifest == 0) revert TwinRegistryZeroValue();
        // A window of zero seconds or a round without updates would let the opener decide alone.
        if (policy.minSubmitFor == 0 || policy.minAttestFor == 0 || policy.minUpdates == 0) {
            revert TwinRegistryZeroValue();
        }
        if (_twins[twin].owner != address(0)) revert TwinRegistryTwinExists(twin);
        _twins[twin] = TwinRecord({
            owner: msg.sender,
            revision: 1,
            minSubmitFor: policy.minSubmitFor,
            minAttestFor: policy.minAttestFor,
            minUpdates: policy.minUpdates,
            manifest: manifest
        });
        emit TwinRegistered(twin, msg.sender, manifest, policy);
    }

    /// @inheritdoc ITwinRegistry
    function reviseTwin(bytes32 twin, uint32 revision, bytes32 manifest) external {
        if (manifest == 0) revert TwinRegistryZeroValue();
        TwinRecord storage record = _ownTwinRecord(twin);
        // Naming the revision stops a replayed or overtaken transaction from undoing a newer manifest.
        uint32 expected = record.revision + 1;
        if (revision != expected) revert TwinRegistryUnexpectedRevision(twin, expected, revision);
        record.revision = revision;
        record.manifest = manifest;
        emit TwinRevised(twin, revision, manifest);
    }

    /// @inheritdoc ITwinRegistry
    function transferTwin(bytes32 twin, address to) external {
        if (to == address(0)) revert TwinRegistryZeroValue();
        TwinRecord storage record = _ownTwinRecord(twin);
        record.owner = to;
        emit TwinTransferred(twin, msg.sender, to);
    }

    /// @inheritdoc ITwinRegistry
    function stationOf(address account) external view returns (Station memory) {
        return _stations[account];
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
        return _nextNumber - 1;
    }

    /// @inheritdoc ITwinRegistry
    function twinOf(bytes32 twin) external view returns (Twin memory) {
        TwinRecord storage record = _twinRecord(twin);
        return Twin({
            owner: record.owner,
            revision: record.revision,
            policy: _policyOf(record),
            manifest: record.manifest
        });
    }

    /// @inheritdoc ITwinRegistry
    function openingOf(bytes32 twin, address opener)
        external
        view
        returns (uint64 electorate, uint8 openerIndex, RoundPolicy memory policy)
    {
        openerIndex = _stationRecord(opener).index;
        policy = _policyOf(_twinRecord(twin));
        electorate = StationSet.firstOf(_nextNumber - 1);
    }

    function _stationRecord(address account) private view returns (Station storage record) {
        record = _stations[account];
        if (!record.registered) revert TwinRegistryUnknownStation(account);
    }

    function _twinRecord(bytes32 twin) private view returns (TwinRecord storage record) {
        record = _twins[twin];
        if (record.owner == address(0)) revert TwinRegistryUnknownTwin(twin);
    }

    function _ownTwinRecord(bytes32 twin) private view returns (TwinRecord storage record) {
        record = _twins[twin];
        address owner = record.owner;
        if (owner == msg.sender) return record;
        if (owner == address(0)) revert TwinRegistryUnknownTwin(twin);
        revert TwinRegistryNotTwinOwner(twin, msg.sender);
    }

    function _policyOf(TwinRecord storage record) private view returns (RoundPolicy memory) {
        return RoundPolicy(record.minSubmitFor, record.minAttestFor, record.minUpdates);
    }
}
