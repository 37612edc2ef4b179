// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITwinRegistry} from "./interfaces/ITwinRegistry.sol";
import {Elections} from "./registry/Elections.sol";
import {Stations} from "./registry/Stations.sol";

/// @title Who and what exists in the consortium
contract TwinRegistry is Elections {
    /// @dev One slot, with the policy's members spelled out: a struct inside a struct begins a slot of its own.
    struct TwinRecord {
        address owner;
        uint32 revision;
        uint24 minSubmitFor;
        uint24 minAttestFor;
        uint8 minUpdates;
        uint8 openGrace;
        bytes32 manifest;
    }

    mapping(bytes32 twin => TwinRecord) private _twins;

    /// @param admin gets all roles; a multisig in production.
    /// @param epoch_ seconds between elections, and for which suspensions are counted.
    /// @param minSeats_ least seats of an election.
    constructor(address admin, uint32 epoch_, uint8 minSeats_) Stations(admin, epoch_) Elections(minSeats_) {}

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
            openGrace: policy.openGrace,
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
        openerIndex = _activeRecord(opener).index;
        policy = _policyOf(_twinRecord(twin));
        uint64 active = _consortium.active;
        electorate = _consortium.producers & active;
        // Before the first election, and when all producers are suspended: or nobody could go on.
        if (electorate == 0) electorate = active;
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
        return RoundPolicy(record.minSubmitFor, record.minAttestFor, record.minUpdates, record.openGrace);
    }
}
