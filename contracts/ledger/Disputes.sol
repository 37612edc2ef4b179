// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {StationSet} from "../lib/StationSet.sol";
import {Statements} from "../lib/Statements.sol";
import {Submissions} from "./Submissions.sol";

/// @title Accusations by quorum, and proofs that need none
abstract contract Disputes is Submissions {
    using StationSet for uint64;

    mapping(bytes32 updateKey => uint64 accusers) private _accusers;
    /// @dev Updates that were rejected, in their round or later: once each.
    mapping(bytes32 updateKey => bool) private _rejected;

    /// @inheritdoc IRoundLedger
    function dispute(bytes32 twin, uint32 number, address station, bytes32 evidence) external {
        if (evidence == 0) revert RoundLedgerZeroValue();
        (uint8 index, uint64 active) = registry.electorOf(msg.sender);
        RoundRecord memory round = _rounds[twin];
        _requireNumber(twin, number, round);
        Ballot memory ballot = _ballotOf(twin, round, active);
        Status current = _statusOf(round, ballot, active);
        if (current != Status.Submitting && current != Status.Attesting) {
            revert RoundLedgerUnexpectedStatus(twin, number, current);
        }
        uint64 accuser = StationSet.only(index);
        if (!round.electorate.has(accuser)) revert RoundLedgerNotElector(twin, number, msg.sender);
        uint64 accused = StationSet.only(registry.indexOf(station));
        if (!round.submitted.has(accused)) revert RoundLedgerNoUpdate(twin, number, station);
        if (ballot.excluded.has(accused)) revert RoundLedgerAlreadyRejected(twin, number, station);
        bytes32 key = _updateKey(twin, number, station);
        uint64 accusers = _accusers[key];
        // Stops one station from rejecting another's update by accusing it twice.
        if (accusers.has(accuser)) revert RoundLedgerAlreadyDisputed(twin, number, station, msg.sender);
        accusers |= accuser;
        _accusers[key] = accusers;
        emit Disputed(twin, number, station, msg.sender, evidence);
        uint64 live = round.electorate & active;
        if ((accusers & live).count() >= _quorumOf(round.electorate, live)) {
            _reject(twin, number, station, Reason.Quorum, evidence, active);
        }
    }

    /// @inheritdoc IRoundLedger
    function proveForgery(Recorded calldata recorded, Contribution calldata contribution, bytes32[] calldata proof)
        external
    {
        (, uint64 active) = registry.electorOf(msg.sender);
        bytes32 leaf = _requireLeaf(recorded, contribution, proof);
        // Stops an accuser from rejecting an honest contribution.
        if (_isSigned(recorded, contribution)) {
            revert RoundLedgerHonestContribution(contribution.device, contribution.digest);
        }
        _reject(recorded.update.twin, recorded.update.round, recorded.station, Reason.Forgery, leaf, active);
    }

    /// @inheritdoc IRoundLedger
    function proveDoubleCount(
        Recorded calldata recordedA,
        Contribution calldata contributionA,
        bytes32[] calldata proofA,
        Recorded calldata recordedB,
        Contribution calldata contributionB,
        bytes32[] calldata proofB
    ) external {
        (, uint64 active) = registry.electorOf(msg.sender);
        bytes32 leafA = _requireLeaf(recordedA, contributionA, proofA);
        bytes32 leafB = _requireLeaf(recordedB, contributionB, proofB);
        bool same = recordedA.station == recordedB.station;
        if (
            contributionA.device != contributionB.device || recordedA.update.twin != recordedB.update.twin
                || recordedA.update.trainedRound != recordedB.update.trainedRound
                || (same && (leafA == leafB || recordedA.update.round != recordedB.update.round))
        ) revert RoundLedgerNoDoubleCount(contributionA.device, contributionB.device);
        if (same) {
            _reject(
                recordedA.update.twin, recordedA.update.round, recordedA.station, Reason.DoubleCount, leafB, active
            );
            return;
        }
        // Stops a station from framing a device with a leaf that the device never signed.
        _requireSigned(recordedA, contributionA);
        _requireSigned(recordedB, contributionB);
        emit DeviceEquivocated(
            recordedA.update.twin,
            recordedA.update.round,
            contributionA.device,
            recordedA.station,
            recordedB.station
        );
    }

    /// @inheritdoc IRoundLedger
    function accusersOf(bytes32 twin, address station) external view returns (uint64) {
        return _accusers[_updateKey(twin, _rounds[twin].number, station)];
    }

    /// @inheritdoc IRoundLedger
    function verifyContribution(
        Recorded calldata recorded,
        Contribution calldata contribution,
        bytes32[] calldata proof,
        bytes32[] calldata rosterProof
    ) external view returns (bool) {
        _requireLeaf(recorded, contribution, proof);
        return _isSigned(recorded, contribution)
            && MerkleProof.verifyCalldata(rosterProof, recorded.roster, Statements.rosterLeafOf(contribution.device));
    }

    /// @dev Rejects an update; after its round's end only for the record.
    function _reject(bytes32 twin, uint32 number, address station, Reason reason, bytes32 evidence, uint64 active)
        internal
    {
        bytes32 key = _updateKey(twin, number, station);
        if (_rejected[key]) revert RoundLedgerAlreadyRejected(twin, number, station);
        _rejected[key] = true;
        RoundRecord memory round = _rounds[twin];
        bool late = number != round.number || !_isOpen(round);
        if (!late) {
            Ballot memory ballot = _ballotOf(twin, round, active);
            _exclude(ballot, StationSet.only(registry.indexOf(station)));
            _ballots[twin] = ballot;
        }
        emit UpdateRejected(twin, number, station, reason, evidence, late);
    }

    /// @dev The leaf of a contribution that the ledger has committed to.
    function _requireLeaf(Recorded calldata recorded, Contribution calldata contribution, bytes32[] calldata proof)
        internal
        view
        returns (bytes32 leaf)
    {
        _requireCommitted(recorded);
        leaf = Statements.leafOf(contribution);
        _requireUnder(recorded.update.contributions, leaf, proof);
    }

    function _requireUnder(bytes32 root, bytes32 leaf, bytes32[] calldata proof) internal pure {
        if (!MerkleProof.verifyCalldata(proof, root, leaf)) revert RoundLedgerBadProof(root, leaf);
    }

    function _requireSigner(address expected, address actual) internal pure {
        if (actual != expected) revert RoundLedgerBadSignature(expected, actual);
    }

    function _requireSigned(Recorded calldata recorded, Contribution calldata contribution) private view {
        if (!_isSigned(recorded, contribution)) {
            revert RoundLedgerBadSignature(contribution.device, _signerOf(recorded, contribution));
        }
    }

    function _requireNotRejected(bytes32 twin, uint32 number, address station) internal view {
        if (_rejected[_updateKey(twin, number, station)]) revert RoundLedgerAlreadyRejected(twin, number, station);
    }

    /// @dev A signature that nobody made recovers to zero: a leaf of the device zero must not pass for signed by it.
    function _isSigned(Recorded calldata recorded, Contribution calldata contribution) private view returns (bool) {
        return contribution.device != address(0) && _signerOf(recorded, contribution) == contribution.device;
    }

    function _signerOf(Recorded calldata recorded, Contribution calldata contribution) private view returns (address) {
        return Statements.signer(
            domainSeparator(), Statements.contribution(recorded, contribution), contribution.signature
        );
    }

    function _updateKey(bytes32 twin, uint32 number, address station) private pure returns (bytes32) {
        return keccak256(abi.encode(twin, number, station));
    }
}
