// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ITwinRegistry} from "../interfaces/ITwinRegistry.sol";
import {StationSet} from "../lib/StationSet.sol";
import {Ledger} from "./Ledger.sol";

/// @title How rounds begin, and how they end without a model
abstract contract Openings is Ledger {
    using StationSet for uint64;

    /// @inheritdoc IRoundLedger
    function genesis(bytes32 twin, bytes32 model) external {
        if (model == 0) revert RoundLedgerZeroValue();
        // Stops a stranger from choosing the weights that every round descends from.
        if (registry.twinOf(twin).owner != msg.sender) revert RoundLedgerNotTwinOwner(twin, msg.sender);
        if (_models[twin][0] != 0) revert RoundLedgerGenesisExists(twin);
        _models[twin][0] = model;
        emit Genesis(twin, model, msg.sender);
    }

    /// @inheritdoc IRoundLedger
    function openRound(bytes32 twin, uint32 number, uint24 submitFor, uint24 attestFor, uint8 minUpdates) external {
        // Refuses anyone but a station: an outsider could otherwise keep a twin in rounds that nobody expects.
        (uint64 electorate, uint8 opener, ITwinRegistry.RoundPolicy memory policy) =
            registry.openingOf(twin, msg.sender);
        RoundRecord memory round = _rounds[twin];
        if (round.number == 0) {
            if (_models[twin][0] == 0) revert RoundLedgerNoGenesis(twin);
        } else if (_isOpen(round)) {
            revert RoundLedgerRoundOpen(twin, round.number);
        }
        if (number != round.number + 1) revert RoundLedgerUnexpectedRound(twin, round.number + 1, number);
        uint8 electors = electorate.count();
        // Stops one station from opening every round, and with it from choosing every moment and window.
        uint256 until = uint256(round.submitUntil) + policy.openGrace;
        if (block.timestamp < until && round.number != 0) {
            uint8 turn = electorate.nth(number % electors);
            if (opener != turn) revert RoundLedgerNotTurn(twin, number, turn, uint32(until));
        }
        // Stops a station that opens rounds so short that the others cannot take part.
        if (submitFor < policy.minSubmitFor || attestFor < policy.minAttestFor) {
            revert RoundLedgerWindowTooShort(twin, policy.minSubmitFor, policy.minAttestFor);
        }
        // More than the electorate could never be reached; fewer than the policy would let a few speak for all.
        if (minUpdates < policy.minUpdates || minUpdates > electors) {
            revert RoundLedgerBadMinUpdates(twin, policy.minUpdates, electors, minUpdates);
        }
        // The snapshot of the electorate stops a registrar from outvoting a running round with new stations.
        uint32 submitUntil = uint32(block.timestamp) + submitFor;
        _begin(_rounds[twin], electorate, number, submitUntil, attestFor, minUpdates);
        emit RoundOpened(twin, number, msg.sender, electorate, submitUntil, attestFor, minUpdates);
    }

    /// @inheritdoc IRoundLedger
    function abortRound(bytes32 twin, uint32 number) external {
        RoundRecord memory round = _rounds[twin];
        (uint64 active,) = registry.stationSets();
        Ballot memory ballot = _ballotOf(twin, round, active);
        _requireStatus(twin, number, round, ballot, active, Status.Expired);
        RoundRecord storage record = _rounds[twin];
        record.minUpdates = 0;
        record.submitUntil = uint32(block.timestamp);
        _ballots[twin] = ballot;
        emit RoundAborted(twin, number, msg.sender, round.submitted, ballot.voted);
    }

    /// @dev In a function of its own the compiler makes one storage write of these six; head stays as it is.
    function _begin(
        RoundRecord storage record,
        uint64 electorate,
        uint32 number,
        uint32 submitUntil,
        uint24 attestFor,
        uint8 minUpdates
    ) private {
        record.electorate = electorate;
        record.submitted = 0;
        record.number = number;
        record.submitUntil = submitUntil;
        record.attestFor = attestFor;
        record.minUpdates = minUpdates;
    }
}
