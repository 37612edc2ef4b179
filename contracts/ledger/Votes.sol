// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {StationSet} from "../lib/StationSet.sol";
import {Statements} from "../lib/Statements.sol";
import {Ledger} from "./Ledger.sol";

/// @title How a model becomes final: by votes, by signatures, or by counting again
abstract contract Votes is Ledger {
    using StationSet for uint64;

    /// @inheritdoc IRoundLedger
    function attest(bytes32 twin, uint32 number, bytes32 model, bytes32 replaced) external {
        if (model == 0) revert RoundLedgerZeroValue();
        (uint8 index, uint64 active) = registry.electorOf(msg.sender);
        RoundRecord memory round = _rounds[twin];
        Ballot memory ballot = _ballotOf(twin, round, active);
        _requireStatus(twin, number, round, ballot, active, Status.Attesting);
        uint64 station = StationSet.only(index);
        if (!round.electorate.has(station)) revert RoundLedgerNotElector(twin, number, msg.sender);
        _closeSubmissions(_rounds[twin], round, active);

        bytes32 candidate = _candidateOf(twin, ballot);
        if (replaced != 0) _withdraw(twin, ballot, station, replaced, candidate);
        // Stops an equivocating station from counting under two models, or twice under one.
        if (replaced == model || (replaced == 0 && ballot.voted.has(station))) {
            revert RoundLedgerAlreadyAttested(twin, number, msg.sender);
        }
        ballot.voted |= station;
        emit Attested(twin, number, msg.sender, model, replaced);

        if (candidate == 0) {
            candidate = model;
            _candidates[twin] = model;
        }
        uint64 voters;
        if (model == candidate) {
            voters = ballot.forCandidate | station;
            ballot.forCandidate = voters;
        } else {
            bytes32 key = _dissentKey(twin, ballot, model);
            voters = _dissent[key] | station;
            _dissent[key] = voters;
        }
        voters &= active;
        if (voters.count() >= _quorumOf(round.electorate, round.electorate & active)) {
            _finalize(twin, round, ballot, model, voters);
        }
        _ballots[twin] = ballot;
    }

    /// @inheritdoc IRoundLedger
    function tally(bytes32 twin, uint32 number, bytes32 model) external {
        if (model == 0) revert RoundLedgerZeroValue();
        RoundRecord memory round = _rounds[twin];
        (uint64 active,) = registry.stationSets();
        Ballot memory ballot = _ballotOf(twin, round, active);
        _requireStatus(twin, number, round, ballot, active, Status.Attesting);
        uint64 voters = _votesFor(twin, ballot, model) & active;
        _requireQuorum(twin, round, active, voters.count());
        _finalize(twin, round, ballot, model, voters);
        _ballots[twin] = ballot;
    }

    /// @inheritdoc IRoundLedger
    function finalizeSigned(
        bytes32 twin,
        uint32 number,
        bytes32 model,
        address[] calldata signers,
        bytes[] calldata signatures
    ) external {
        if (model == 0) revert RoundLedgerZeroValue();
        RoundRecord memory round = _rounds[twin];
        (uint64 active,) = registry.stationSets();
        Ballot memory ballot = _ballotOf(twin, round, active);
        _requireStatus(twin, number, round, ballot, active, Status.Attesting);
        // A signature without a signer, or the other way round, is none.
        if (signers.length != signatures.length) _requireQuorum(twin, round, active, 0);
        uint64 found = _signersOf(round, Statements.attestation(twin, number, model, ballot.excluded), twin, signers, signatures);
        _requireQuorum(twin, round, active, found.count());
        _finalize(twin, round, ballot, model, found);
        _ballots[twin] = ballot;
    }

    /// @dev The set of the signers, all of whom have signed.
    function _signersOf(
        RoundRecord memory round,
        bytes32 statement,
        bytes32 twin,
        address[] calldata signers,
        bytes[] calldata signatures
    ) private view returns (uint64 found) {
        bytes32 separator = domainSeparator();
        address previous;
        for (uint256 i = 0; i < signers.length; ++i) {
            address signer = signers[i];
            // The order stops one station from counting twice.
            if (signer <= previous) revert RoundLedgerUnsortedSigners(previous, signer);
            previous = signer;
            (uint8 index,) = registry.electorOf(signer);
            uint64 station = StationSet.only(index);
            if (!round.electorate.has(station)) revert RoundLedgerNotElector(twin, round.number, signer);
            address actual = Statements.signer(separator, statement, signatures[i]);
            if (actual != signer) revert RoundLedgerBadSignature(signer, actual);
            found |= station;
        }
    }

    function _requireQuorum(bytes32 twin, RoundRecord memory round, uint64 active, uint8 actual) private pure {
        uint8 quorum = _quorumOf(round.electorate, round.electorate & active);
        if (actual < quorum) revert RoundLedgerNoQuorum(twin, round.number, quorum, actual);
    }

    /// @dev The first vote ends the window for electors that are suspended at that moment: one that was reinstated
    /// afterwards could otherwise add an update to a round whose model has votes. The time for votes stays the same.
    function _closeSubmissions(RoundRecord storage record, RoundRecord memory round, uint64 active) private {
        if (block.timestamp >= round.submitUntil || round.electorate & ~active & ~round.submitted == 0) return;
        uint256 attestFor = uint256(round.submitUntil) + round.attestFor - block.timestamp;
        record.submitUntil = uint32(block.timestamp);
        record.attestFor = attestFor > type(uint24).max ? type(uint24).max : uint24(attestFor);
    }

    /// @dev Takes the station's vote for `replaced` back, in storage for a dissenting one and else in `ballot`.
    function _withdraw(bytes32 twin, Ballot memory ballot, uint64 station, bytes32 replaced, bytes32 candidate)
        private
    {
        bytes32 key = _dissentKey(twin, ballot, replaced);
        uint64 voters = replaced == candidate ? ballot.forCandidate : _dissent[key];
        // Stops a vote from being cast anew while the old one is left standing.
        if (!voters.has(station)) revert RoundLedgerUnexpectedVote(twin, ballot.number, msg.sender, replaced);
        if (replaced == candidate) {
            ballot.forCandidate = voters & ~station;
        } else {
            _dissent[key] = voters & ~station;
        }
    }

    /// @dev The ballot is the caller's to store.
    function _finalize(bytes32 twin, RoundRecord memory round, Ballot memory ballot, bytes32 model, uint64 attesters)
        private
    {
        _models[twin][ballot.number] = model;
        RoundRecord storage record = _rounds[twin];
        record.head = ballot.number;
        record.submitUntil = uint32(block.timestamp);
        emit RoundFinal(
            twin, ballot.number, _models[twin][round.head], model, attesters, round.submitted & ~ballot.excluded
        );
    }
}
