// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {Statements} from "../lib/Statements.sol";
import {Disputes} from "./Disputes.sol";

/// @title Answer or lose: what no proof of inclusion can show
/// @dev That a leaf is missing can't be proven by a tree that isn't sorted by what is looked for; that it is there can.
abstract contract Challenges is Disputes {
    /// @dev Of `_challenges`: answered, or lost. The same challenge never comes again, or it would cost its answer
    /// each time.
    uint32 private constant OVER = 1;

    /// @dev Until when each can be answered, or `OVER`.
    mapping(bytes32 challengeKey => uint32) private _challenges;

    /// @inheritdoc IRoundLedger
    function challengeInvented(
        Recorded calldata recorded,
        Contribution calldata contribution,
        bytes32[] calldata proof
    ) external {
        registry.electorOf(msg.sender);
        _requireLeaf(recorded, contribution, proof);
        _challenge(recorded, recorded.roster, Statements.rosterLeafOf(contribution.device));
    }

    /// @inheritdoc IRoundLedger
    function challengeOmitted(Recorded calldata recorded, bytes32 leaf, bytes calldata receipt) external {
        registry.electorOf(msg.sender);
        _requireCommitted(recorded);
        bytes32 statement = Statements.receiptOf(recorded.update.twin, recorded.update.trainedRound, leaf);
        // Stops a device that never sent anything in time from accusing its station.
        _requireSigner(recorded.station, Statements.signer(domainSeparator(), statement, receipt));
        _challenge(recorded, recorded.update.contributions, leaf);
    }

    /// @inheritdoc IRoundLedger
    function answerChallenge(
        bytes32 twin,
        uint32 number,
        address station,
        bytes32 root,
        bytes32 leaf,
        bytes32[] calldata proof
    ) external {
        bytes32 key = _challengeKey(twin, number, station, root, leaf);
        if (_challenges[key] <= OVER) revert RoundLedgerNoChallenge(root, leaf);
        _requireUnder(root, leaf, proof);
        _challenges[key] = OVER;
        emit ChallengeAnswered(twin, number, station, root, leaf);
    }

    /// @inheritdoc IRoundLedger
    function settleChallenge(bytes32 twin, uint32 number, address station, bytes32 root, bytes32 leaf) external {
        bytes32 key = _challengeKey(twin, number, station, root, leaf);
        uint32 answerUntil = _challenges[key];
        if (answerUntil <= OVER) revert RoundLedgerNoChallenge(root, leaf);
        if (block.timestamp < answerUntil) revert RoundLedgerChallengeOpen(answerUntil);
        _challenges[key] = OVER;
        (uint64 active,) = registry.stationSets();
        _reject(twin, number, station, Reason.Challenge, leaf, active);
    }

    /// @inheritdoc IRoundLedger
    function challengeUntil(bytes32 twin, uint32 number, address station, bytes32 root, bytes32 leaf)
        external
        view
        returns (uint32)
    {
        uint32 until = _challenges[_challengeKey(twin, number, station, root, leaf)];
        return until == OVER ? 0 : until;
    }

    /// @dev Half of the attest window: an answer, or the rejection, is to come before the votes are over.
    function _challenge(Recorded calldata recorded, bytes32 root, bytes32 leaf) private {
        bytes32 twin = recorded.update.twin;
        uint32 number = recorded.update.round;
        address station = recorded.station;
        _requireNotRejected(twin, number, station);
        bytes32 key = _challengeKey(twin, number, station, root, leaf);
        if (_challenges[key] != 0) revert RoundLedgerChallengeExists(root, leaf);
        uint32 answerUntil = uint32(block.timestamp) + _rounds[twin].attestFor / 2;
        _challenges[key] = answerUntil;
        emit Challenged(twin, number, station, root, leaf, answerUntil);
    }

    function _challengeKey(bytes32 twin, uint32 number, address station, bytes32 root, bytes32 leaf)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(twin, number, station, root, leaf));
    }
}
