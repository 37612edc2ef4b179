// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRoundLedger} from "./interfaces/IRoundLedger.sol";
import {ITwinRegistry} from "./interfaces/ITwinRegistry.sol";
import {Challenges} from "./ledger/Challenges.sol";
import {Ledger} from "./ledger/Ledger.sol";
import {Openings} from "./ledger/Openings.sol";
import {Votes} from "./ledger/Votes.sol";

/// @title What happened: the rounds of every twin
contract RoundLedger is Openings, Votes, Challenges {
    /// @param registry_ of the same consortium; never changes.
    constructor(ITwinRegistry registry_) Ledger(registry_) {}

    /// @inheritdoc IRoundLedger
    function head(bytes32 twin) external view returns (uint32 number, bytes32 model) {
        number = _rounds[twin].head;
        model = _models[twin][number];
    }

    /// @inheritdoc IRoundLedger
    function modelOf(bytes32 twin, uint32 number) external view returns (bytes32) {
        return _models[twin][number];
    }

    /// @inheritdoc IRoundLedger
    function roundOf(bytes32 twin) external view returns (Round memory) {
        RoundRecord memory round = _rounds[twin];
        (uint64 active,) = registry.stationSets();
        Ballot memory ballot = _ballotOf(twin, round, active);
        return Round({
            number: round.number,
            status: _statusOf(round, ballot, active),
            submitUntil: round.submitUntil,
            attestUntil: round.submitUntil + round.attestFor,
            minUpdates: round.minUpdates,
            quorum: _quorumOf(round.electorate, round.electorate & active),
            electorate: round.electorate,
            live: round.electorate & active,
            submitted: round.submitted,
            excluded: ballot.excluded,
            voted: ballot.voted
        });
    }

    /// @inheritdoc IRoundLedger
    function votesFor(bytes32 twin, bytes32 model) external view returns (uint64) {
        if (model == 0) return 0;
        (uint64 active,) = registry.stationSets();
        return _votesFor(twin, _ballotOf(twin, _rounds[twin], active), model) & active;
    }

    /// @inheritdoc IRoundLedger
    function quorumOf(uint64 electorate, uint64 live) external pure returns (uint8) {
        return _quorumOf(electorate, live);
    }
}
