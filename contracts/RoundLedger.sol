// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRoundLedger} from "./interfaces/IRoundLedger.sol";
import {ITwinRegistry} from "./interfaces/ITwinRegistry.sol";
import {StationSet} from "./lib/StationSet.sol";

/// @title What happened: the rounds of every twin
/// @dev A steady round writes one fresh slot, its model's; everything else reuses the twin's own.
/// Times are `block.timestamp` in 32 bits: exact until 2106-02-07. Whoever seals blocks can move them by seconds;
/// the twin's policy asks for windows long enough that this decides nothing.
contract RoundLedger is IRoundLedger {
    using StationSet for uint64;

    /// @dev The twin's newest round and its head: one slot. Final when `head == number`; aborted when `minUpdates`
    /// is zero, which no open round can have; the rest follows from the sets and the time.
    struct RoundRecord {
        uint64 electorate;
        uint64 submitted;
        uint32 number;
        uint32 head; // newest final round
        uint32 submitUntil;
        uint24 attestFor;
        uint8 minUpdates;
    }

    /// @dev One slot per twin, used again by each round: of any other `number` than the current it counts as empty.
    struct Ballot {
        uint64 voted;
        uint64 forCandidate;
        uint32 number;
    }

    /// @inheritdoc IRoundLedger
    ITwinRegistry public immutable registry;

    mapping(bytes32 twin => RoundRecord) private _rounds;
    mapping(bytes32 twin => Ballot) private _ballots;
    /// @dev Final models. In a round being attested: the candidate, which is the model that was voted for first.
    /// It lies where the final model will, so that a round in which all agree writes its digest once.
    mapping(bytes32 twin => mapping(uint32 number => bytes32 digest)) private _models;
    /// @dev Votes for models other than the candidate, under `_dissentKey`.
    mapping(bytes32 dissentKey => uint64 voters) private _dissent;

    /// @param registry_ of the same consortium; never changes.
    constructor(ITwinRegistry registry_) {
        if (address(registry_) == address(0)) revert RoundLedgerZeroValue();
        registry = registry_;
    }

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
        (uint64 electorate,, ITwinRegistry.RoundPolicy memory policy) = registry.openingOf(twin, msg.sender);
        RoundRecord memory round = _rounds[twin];
        Status status = _statusOf(round);
        if (status == Status.None) {
            if (_models[twin][0] == 0) revert RoundLedgerNoGenesis(twin);
        } else if (status != Status.Final && status != Status.Aborted) {
            revert RoundLedgerRoundOpen(twin, round.number);
        }
        if (number != round.number + 1) revert RoundLedgerUnexpectedRound(twin, round.number + 1, number);
        // Stops a station that opens rounds so short that the others cannot take part.
        if (submitFor < policy.minSubmitFor || attestFor < policy.minAttestFor) {
            revert RoundLedgerWindowTooShort(twin, policy.minSubmitFor, policy.minAttestFor);
        }
        // More than the electorate could never be reached; fewer than the policy would let a few speak for all.
        uint8 electors = electorate.count();
        if (minUpdates < policy.minUpdates || minUpdates > electors) {
            revert RoundLedgerBadMinUpdates(twin, policy.minUpdates, electors, minUpdates);
        }
        // The snapshot of the electorate stops a registrar from outvoting a running round with new stations.
        uint32 submitUntil = uint32(block.timestamp) + submitFor;
        _begin(_rounds[twin], electorate, number, submitUntil, attestFor, minUpdates);
        emit RoundOpened(twin, number, msg.sender, electorate, submitUntil, attestFor, minUpdates);
    }

    /// @inheritdoc IRoundLedger
    function submitUpdate(Update calldata update) external {
        if (
            update.round == 0 || update.base == 0 || update.update == 0 || update.contributions == 0
                || update.examples == 0
        ) revert RoundLedgerZeroValue();
        uint64 station = StationSet.only(registry.indexOf(msg.sender));
        RoundRecord memory round = _rounds[update.twin];
        if (update.round > round.number) {
            revert RoundLedgerUnexpectedRound(update.twin, round.number, update.round);
        }
        _requireBase(update);

        bool late = true;
        if (update.round == round.number) {
            if (!round.electorate.has(station)) revert RoundLedgerNotElector(update.twin, update.round, msg.sender);
            // Once per station, or the one that submits last could choose among its updates after seeing all others.
            if (round.submitted.has(station)) {
                revert RoundLedgerAlreadySubmitted(update.twin, update.round, msg.sender);
            }
            // Late updates are never counted: what is being attested must not grow.
            late = _statusOf(round) != Status.Submitting;
            if (!late) _rounds[update.twin].submitted = round.submitted | station;
        }
        emit UpdateSubmitted(
            update.twin,
            update.round,
            msg.sender,
            update.baseRound,
            update.base,
            update.update,
            update.contributions,
            update.examples,
            round.head - update.baseRound, // never below zero: only final rounds have models
            late
        );
    }

    /// @inheritdoc IRoundLedger
    function attest(bytes32 twin, uint32 number, bytes32 model, bytes32 replaced) external {
        if (model == 0) revert RoundLedgerZeroValue();
        uint64 station = StationSet.only(registry.indexOf(msg.sender));
        RoundRecord memory round = _rounds[twin];
        _requireStatus(twin, number, round, Status.Attesting);
        if (!round.electorate.has(station)) revert RoundLedgerNotElector(twin, number, msg.sender);

        Ballot memory ballot = _ballotOf(twin, number);
        bytes32 candidate = _models[twin][number];
        if (replaced != 0) {
            _withdraw(twin, number, station, replaced, candidate, ballot);
        }
        // Stops an equivocating station from counting under two models, or twice under one.
        if (replaced == model || (replaced == 0 && ballot.voted.has(station))) {
            revert RoundLedgerAlreadyAttested(twin, number, msg.sender);
        }
        ballot.voted |= station;
        emit Attested(twin, number, msg.sender, model, replaced);

        if (candidate == 0) {
            candidate = model;
            _models[twin][number] = model;
        }
        uint64 attesters;
        if (model == candidate) {
            attesters = ballot.forCandidate | station;
            ballot.forCandidate = attesters;
        } else {
            bytes32 key = _dissentKey(twin, number, model);
            attesters = _dissent[key] | station;
            _dissent[key] = attesters;
        }
        if (attesters.count() >= _quorumOf(round.electorate)) {
            if (model != candidate) {
                // The votes follow their models, so that `votesFor` stays true after the end.
                _dissent[_dissentKey(twin, number, candidate)] = ballot.forCandidate;
                ballot.forCandidate = attesters;
                _models[twin][number] = model;
            }
            _rounds[twin].head = number;
            emit RoundFinal(twin, number, _models[twin][round.head], model, attesters, round.submitted);
        }
        _ballots[twin] = ballot;
    }

    /// @inheritdoc IRoundLedger
    function abortRound(bytes32 twin, uint32 number) external {
        RoundRecord memory round = _rounds[twin];
        _requireStatus(twin, number, round, Status.Expired);
        _rounds[twin].minUpdates = 0;
        // A candidate without a quorum must never be taken for a model, be it as the base of an update.
        delete _models[twin][number];
        emit RoundAborted(twin, number, msg.sender, round.submitted, _ballotOf(twin, number).voted);
    }

    /// @inheritdoc IRoundLedger
    function head(bytes32 twin) external view returns (uint32 number, bytes32 model) {
        number = _rounds[twin].head;
        model = _models[twin][number];
    }

    /// @inheritdoc IRoundLedger
    function modelOf(bytes32 twin, uint32 number) external view returns (bytes32) {
        // Above the head lies only the candidate of an open round.
        return number > _rounds[twin].head ? bytes32(0) : _models[twin][number];
    }

    /// @inheritdoc IRoundLedger
    function roundOf(bytes32 twin) external view returns (Round memory) {
        RoundRecord memory round = _rounds[twin];
        return Round({
            number: round.number,
            status: _statusOf(round),
            submitUntil: round.submitUntil,
            attestUntil: round.submitUntil + round.attestFor,
            minUpdates: round.minUpdates,
            quorum: _quorumOf(round.electorate),
            electorate: round.electorate,
            submitted: round.submitted,
            voted: _ballotOf(twin, round.number).voted
        });
    }

    /// @inheritdoc IRoundLedger
    function votesFor(bytes32 twin, bytes32 model) external view returns (uint64) {
        if (model == 0) return 0;
        uint32 number = _rounds[twin].number;
        return model == _models[twin][number]
            ? _ballotOf(twin, number).forCandidate
            : _dissent[_dissentKey(twin, number, model)];
    }

    /// @inheritdoc IRoundLedger
    function quorumOf(uint64 electorate) external pure returns (uint8) {
        return _quorumOf(electorate);
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

    /// @dev Takes the station's vote for `replaced` back, in storage for a dissenting one and else in `ballot`.
    function _withdraw(
        bytes32 twin,
        uint32 number,
        uint64 station,
        bytes32 replaced,
        bytes32 candidate,
        Ballot memory ballot
    ) private {
        bytes32 key = _dissentKey(twin, number, replaced);
        uint64 voters = replaced == candidate ? ballot.forCandidate : _dissent[key];
        // Stops a vote from being cast anew while the old one is left standing.
        if (!voters.has(station)) revert RoundLedgerUnexpectedVote(twin, number, msg.sender, replaced);
        if (replaced == candidate) {
            ballot.forCandidate = voters & ~station;
        } else {
            _dissent[key] = voters & ~station;
        }
    }

    /// @dev Stops rollbacks and invented bases. Candidates can't pass: they lie at the current round's number, and
    /// the base is of an earlier round than the update, whose round is at most the current.
    function _requireBase(Update calldata update) private view {
        bytes32 expected = update.baseRound < update.round ? _models[update.twin][update.baseRound] : bytes32(0);
        if (update.base != expected) {
            revert RoundLedgerUnexpectedBase(update.twin, update.baseRound, expected, update.base);
        }
    }

    function _requireStatus(bytes32 twin, uint32 number, RoundRecord memory round, Status required) private view {
        if (number != round.number) revert RoundLedgerUnexpectedRound(twin, round.number, number);
        Status current = _statusOf(round);
        if (current != required) revert RoundLedgerUnexpectedStatus(twin, number, current);
    }

    function _statusOf(RoundRecord memory round) private view returns (Status) {
        if (round.number == 0) return Status.None;
        if (round.head == round.number) return Status.Final;
        if (round.minUpdates == 0) return Status.Aborted;
        if (block.timestamp >= uint256(round.submitUntil) + round.attestFor) return Status.Expired;
        if (round.submitted == round.electorate) return Status.Attesting;
        if (block.timestamp < round.submitUntil) return Status.Submitting;
        return round.submitted.count() < round.minUpdates ? Status.Expired : Status.Attesting;
    }

    /// @dev The votes of this round: empty, when the slot still holds another's.
    function _ballotOf(bytes32 twin, uint32 number) private view returns (Ballot memory ballot) {
        ballot = _ballots[twin];
        if (ballot.number != number) ballot = Ballot({voted: 0, forCandidate: 0, number: number});
    }

    function _dissentKey(bytes32 twin, uint32 number, bytes32 model) private pure returns (bytes32) {
        return keccak256(abi.encode(twin, number, model));
    }

    /// @dev ceil(2n/3): two sets of that size share at least a third of the electorate.
    function _quorumOf(uint64 electorate) private pure returns (uint8) {
        return (2 * electorate.count() + 2) / 3;
    }
}
