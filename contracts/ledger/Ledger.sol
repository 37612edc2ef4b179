// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {ITwinRegistry} from "../interfaces/ITwinRegistry.sol";
import {StationSet} from "../lib/StationSet.sol";
import {Statements} from "../lib/Statements.sol";

/// @title What the ledger stores, and what follows from it
/// @dev A steady round writes one fresh slot, its model's when it is final; all else reuses the twin's own.
/// Times are `block.timestamp` in 32 bits: exact until 2106-02-07. Whoever seals blocks can move them by seconds;
/// the twin's policy asks for windows long enough that this decides nothing.
abstract contract Ledger is IRoundLedger {
    using StationSet for uint64;

    /// @dev The twin's newest round and its head: one slot. Final when `head == number`; aborted when `minUpdates`
    /// is zero, which no open round can have; the rest follows from the sets and the time.
    struct RoundRecord {
        uint64 electorate;
        uint64 submitted;
        uint32 number;
        uint32 head; // newest final round
        uint32 submitUntil; // once the round has ended: when
        uint24 attestFor;
        uint8 minUpdates;
    }

    /// @dev One slot per twin, used again by each round: of any other `number` than the current it counts as empty.
    /// While nobody has voted there is no candidate, whatever lies where its digest would.
    struct Ballot {
        uint64 voted;
        uint64 forCandidate;
        uint32 number;
        uint64 excluded; // of the updates: rejected, or of a station that was suspended; never shrinks within a round
    }

    /// @inheritdoc IRoundLedger
    uint32 public constant COMMITMENTS = 8;

    /// @inheritdoc IRoundLedger
    ITwinRegistry public immutable registry;

    uint256 private immutable _chainId;
    bytes32 private immutable _separator;

    mapping(bytes32 twin => RoundRecord) internal _rounds;
    mapping(bytes32 twin => Ballot) internal _ballots;
    /// @dev Final models, and nothing else.
    mapping(bytes32 twin => mapping(uint32 number => bytes32 digest)) internal _models;
    /// @dev The model that was voted for first: one slot per twin, used again by each round.
    mapping(bytes32 twin => bytes32 digest) internal _candidates;
    /// @dev Votes for models other than the candidate, under `_dissentKey`.
    mapping(bytes32 dissentKey => uint64 voters) internal _dissent;

    /// @param registry_ of the same consortium; never changes.
    constructor(ITwinRegistry registry_) {
        if (address(registry_) == address(0)) revert RoundLedgerZeroValue();
        registry = registry_;
        _chainId = block.chainid;
        _separator = Statements.domain();
    }

    /// @inheritdoc IRoundLedger
    function domainSeparator() public view returns (bytes32) {
        // After a fork of the chain a signature is worth nothing on the other branch.
        return block.chainid == _chainId ? _separator : Statements.domain();
    }

    /// @dev The votes and exclusions of this round as of now: none, when the slot still holds another's. An update
    /// whose station is suspended is excluded from here on, also if the station is reinstated, and that voids the votes
    /// cast before: they were for a model with that update in it.
    function _ballotOf(bytes32 twin, RoundRecord memory round, uint64 active)
        internal
        view
        returns (Ballot memory ballot)
    {
        ballot = _ballots[twin];
        if (ballot.number != round.number) {
            ballot = Ballot({voted: 0, forCandidate: 0, number: round.number, excluded: 0});
        }
        if (_isOpen(round)) _exclude(ballot, round.submitted & ~active);
    }

    /// @dev Stops a model from becoming final by votes that were cast for another set of updates.
    function _exclude(Ballot memory ballot, uint64 stations) internal pure {
        if (stations & ~ballot.excluded == 0) return;
        ballot.excluded |= stations;
        ballot.voted = 0;
        ballot.forCandidate = 0;
    }

    /// @dev Zero while nobody has voted: the digest of a voided vote, or none.
    function _candidateOf(bytes32 twin, Ballot memory ballot) internal view returns (bytes32) {
        return ballot.voted == 0 ? bytes32(0) : _candidates[twin];
    }

    function _votesFor(bytes32 twin, Ballot memory ballot, bytes32 model) internal view returns (uint64) {
        return model == _candidateOf(twin, ballot) ? ballot.forCandidate : _dissent[_dissentKey(twin, ballot, model)];
    }

    function _requireStatus(
        bytes32 twin,
        uint32 number,
        RoundRecord memory round,
        Ballot memory ballot,
        uint64 active,
        Status required
    ) internal view {
        _requireNumber(twin, number, round);
        Status current = _statusOf(round, ballot, active);
        if (current != required) revert RoundLedgerUnexpectedStatus(twin, number, current);
    }

    function _requireNumber(bytes32 twin, uint32 number, RoundRecord memory round) internal pure {
        if (number != round.number) revert RoundLedgerUnexpectedRound(twin, round.number, number);
    }

    function _isOpen(RoundRecord memory round) internal pure returns (bool) {
        return round.head != round.number && round.minUpdates != 0;
    }

    function _statusOf(RoundRecord memory round, Ballot memory ballot, uint64 active) internal view returns (Status) {
        if (round.number == 0) return Status.None;
        if (round.head == round.number) return Status.Final;
        if (round.minUpdates == 0) return Status.Aborted;
        if (block.timestamp >= uint256(round.submitUntil) + round.attestFor) return Status.Expired;
        // In a round without a fault everybody's update counts: then there is nothing to count.
        bool enough = (round.submitted == round.electorate && ballot.excluded == 0)
            || (round.submitted & ~ballot.excluded).count() >= round.minUpdates;
        if (block.timestamp >= round.submitUntil) return enough ? Status.Attesting : Status.Expired;
        return enough && round.electorate & active & ~round.submitted == 0 ? Status.Attesting : Status.Submitting;
    }

    /// @dev ceil(2m/3) of the live, and more than half of those at opening: or suspensions could hand a round to a
    /// minority.
    function _quorumOf(uint64 electorate, uint64 live) internal pure returns (uint8) {
        // Unchecked: counts are at most 64.
        unchecked {
            uint8 electors = electorate.count();
            uint8 majority = electors / 2 + 1;
            uint8 twoThirds = (2 * (live == electorate ? electors : live.count()) + 2) / 3;
            return twoThirds > majority ? twoThirds : majority;
        }
    }

    /// @dev A vote counts only together with those for the same updates.
    function _dissentKey(bytes32 twin, Ballot memory ballot, bytes32 model) internal pure returns (bytes32) {
        return keccak256(abi.encode(twin, ballot.number, model, ballot.excluded));
    }
}
