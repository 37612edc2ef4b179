// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {StationSet} from "../lib/StationSet.sol";
import {Ledger} from "./Ledger.sol";

/// @title Station updates: recorded, counted or late, and committed to
abstract contract Submissions is Ledger {
    using StationSet for uint64;

    /// @dev Hash of `Recorded`, by the round modulo `COMMITMENTS`: slots that later rounds write again.
    mapping(bytes32 twin => mapping(address station => bytes32[8])) private _commitments;

    /// @inheritdoc IRoundLedger
    function submitUpdate(Update calldata update) external {
        (uint8 index, bytes32 roster) = registry.submitterOf(msg.sender);
        _submit(update, StationSet.only(index), roster);
    }

    /// @inheritdoc IRoundLedger
    function submitUpdates(Update[] calldata updates) external {
        (uint8 index, bytes32 roster) = registry.submitterOf(msg.sender);
        for (uint256 i = 0; i < updates.length; ++i) {
            _submit(updates[i], StationSet.only(index), roster);
        }
    }

    /// @dev Whether all live electors have submitted needn't be asked: the sender is one of them, or the window was cut
    /// short when the first vote was cast without it (`Votes.attest`).
    function _submit(Update calldata update, uint64 station, bytes32 roster) private {
        if (
            update.round == 0 || update.base == 0 || update.update == 0 || update.contributions == 0
                || update.examples == 0
        ) revert RoundLedgerZeroValue();
        RoundRecord memory round = _rounds[update.twin];
        if (update.round > round.number) {
            revert RoundLedgerUnexpectedRound(update.twin, round.number, update.round);
        }
        _requireTraining(update);

        bool late = true;
        if (update.round == round.number) {
            if (!round.electorate.has(station)) revert RoundLedgerNotElector(update.twin, update.round, msg.sender);
            // Once per station, or the one that submits last could choose among its updates after seeing all others.
            if (round.submitted.has(station)) {
                revert RoundLedgerAlreadySubmitted(update.twin, update.round, msg.sender);
            }
            // Late updates are never counted: what is being attested must not grow.
            late = block.timestamp >= round.submitUntil || !_isOpen(round);
            if (!late) {
                _rounds[update.twin].submitted = round.submitted | station;
                // With the roster of this moment: a later one must not rewrite who was in it.
                _commitments[update.twin][msg.sender][update.round % COMMITMENTS] =
                    keccak256(abi.encode(update, msg.sender, roster)); // as abi.encode(Recorded)
            }
        }
        emit UpdateSubmitted(
            update.twin,
            update.round,
            msg.sender,
            update.trainedRound,
            update.baseRound,
            update.base,
            update.update,
            update.contributions,
            update.examples,
            round.head - update.baseRound, // never below zero: only final rounds have models
            late
        );
    }

    /// @dev Stops rollbacks and invented bases: only final rounds have models here, neither open nor aborted ones.
    function _requireTraining(Update calldata update) private view {
        bytes32 expected = update.baseRound < update.round ? _models[update.twin][update.baseRound] : bytes32(0);
        if (update.base != expected) {
            revert RoundLedgerUnexpectedBase(update.twin, update.baseRound, expected, update.base);
        }
        if (update.trainedRound <= update.baseRound || update.trainedRound > update.round) {
            revert RoundLedgerUnexpectedTraining(update.twin, update.baseRound, update.trainedRound, update.round);
        }
    }

    /// @dev Stops accusations with somebody else's, altered or made-up updates.
    function _requireCommitted(Recorded calldata recorded) internal view {
        bytes32 twin = recorded.update.twin;
        uint32 number = recorded.update.round;
        uint32 newest = _rounds[twin].number;
        if (uint256(number) + COMMITMENTS <= newest) {
            revert RoundLedgerCommitmentGone(twin, number, newest - COMMITMENTS + 1);
        }
        if (_commitments[twin][recorded.station][number % COMMITMENTS] != keccak256(abi.encode(recorded))) {
            revert RoundLedgerUnknownCommitment(twin, number, recorded.station);
        }
    }
}
