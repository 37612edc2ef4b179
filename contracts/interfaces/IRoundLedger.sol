// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITwinRegistry} from "./ITwinRegistry.sol";

/// @title What happened: the rounds of every twin
/// @notice One open round per twin. Stations submit their updates, compute the same model from all of them,
/// and attest to its digest; at quorum the round is final and the head moves. No aggregator is believed.
/// @dev Storage keeps what the contract must read; events carry the history. Status is derived, never stored.
/// Errors of the registry (no station, a suspended one, an unknown twin) come through unchanged.
interface IRoundLedger {
    /// @notice Derived from the round's facts, the active stations and the block's time.
    enum Status {
        None, // the twin has no round yet
        Submitting, // updates of the electorate are counted
        Attesting, // every live elector has submitted, or the window is over with enough accepted updates
        Expired, // nothing more can count: anyone may abort
        Final,
        Aborted
    }

    struct Update {
        bytes32 twin;
        uint32 round; // in which it is to count
        uint32 trainedRound; // for which the devices trained and signed: earlier than `round` when it comes late
        uint32 baseRound; // the round whose model the devices trained on
        bytes32 base; // that model's manifest digest
        bytes32 update; // digest of the station-update manifest
        bytes32 contributions; // Merkle root of the devices' contributions
        uint64 examples; // training examples behind the update
    }

    /// @notice An update as the ledger committed to it: what every proof about it begins with.
    struct Recorded {
        Update update;
        address station;
        bytes32 roster; // the station's roster root when it submitted: a later roster doesn't rewrite the past
    }

    /// @notice What stands in a contribution's leaf, with the signature itself.
    struct Contribution {
        address device;
        bytes32 digest; // SHA-256 of the device's update
        uint64 examples;
        bytes signature; // EIP-712 Contribution, 65 bytes
    }

    struct Round {
        uint32 number;
        Status status;
        uint32 submitUntil; // block.timestamp, exclusive; once the round has ended, the time of its end
        uint32 attestUntil; // block.timestamp, exclusive
        uint8 minUpdates; // zero once the round was aborted
        uint8 quorum; // votes for one model that make it final, as of now
        uint64 electorate; // bit sets of station indices; as at opening
        uint64 live; // of the electorate, who isn't suspended now
        uint64 submitted; // in time: late updates aren't in it
        uint64 excluded; // of those, whose update was rejected or whose station was suspended
        uint64 voted; // for whichever model, since the last exclusion
    }

    /// @notice Why an update was rejected.
    enum Reason {
        Quorum, // enough electors accused it
        Forgery, // a leaf whose signature isn't the device's
        DoubleCount, // a device twice in one station's tree
        Challenge // a challenge that nobody answered: an invented or an omitted device
    }

    event Genesis(bytes32 indexed twin, bytes32 model, address owner);
    event RoundOpened(
        bytes32 indexed twin,
        uint32 indexed round,
        address indexed opener,
        uint64 electorate,
        uint32 submitUntil,
        uint24 attestFor,
        uint8 minUpdates
    );
    /// @param staleness final head when recorded minus `baseRound`, in rounds: 0 when trained on the newest model.
    /// @param late recorded, but not counted.
    event UpdateSubmitted(
        bytes32 indexed twin,
        uint32 indexed round,
        address indexed station,
        uint32 trainedRound,
        uint32 baseRound,
        bytes32 base,
        bytes32 update,
        bytes32 contributions,
        uint64 examples,
        uint32 staleness,
        bool late
    );
    /// @param replaced the model that the station voted for before, or zero.
    event Attested(bytes32 indexed twin, uint32 indexed round, address indexed station, bytes32 model, bytes32 replaced);
    /// @param parent the former head; `attesters` and `accepted` are bit sets of station indices.
    event RoundFinal(
        bytes32 indexed twin, uint32 indexed round, bytes32 parent, bytes32 model, uint64 attesters, uint64 accepted
    );
    event RoundAborted(bytes32 indexed twin, uint32 indexed round, address indexed by, uint64 submitted, uint64 voted);
    /// @param evidence digest of what the accusation rests on.
    event Disputed(
        bytes32 indexed twin, uint32 indexed round, address indexed station, address accuser, bytes32 evidence
    );
    /// @param evidence digest of the accusation that decided, or the leaf that was proven false.
    /// @param late proven after the round's end: for the record, it changes no model.
    event UpdateRejected(
        bytes32 indexed twin,
        uint32 indexed round,
        address indexed station,
        Reason reason,
        bytes32 evidence,
        bool late
    );
    /// @notice The device signed two updates for one round, for two stations. Neither station is to blame.
    event DeviceEquivocated(
        bytes32 indexed twin, uint32 indexed round, address indexed device, address stationA, address stationB
    );
    /// @notice Somebody says that `leaf` is not under `root`; whoever has the proof shows it before `answerUntil`.
    event Challenged(
        bytes32 indexed twin,
        uint32 indexed round,
        address indexed station,
        bytes32 root,
        bytes32 leaf,
        uint32 answerUntil
    );
    event ChallengeAnswered(
        bytes32 indexed twin, uint32 indexed round, address indexed station, bytes32 root, bytes32 leaf
    );

    error RoundLedgerZeroValue();
    error RoundLedgerNotTwinOwner(bytes32 twin, address account);
    error RoundLedgerGenesisExists(bytes32 twin);
    error RoundLedgerNoGenesis(bytes32 twin);
    /// @notice Round numbers go up by one: none is skipped, none is used again.
    error RoundLedgerUnexpectedRound(bytes32 twin, uint32 expected, uint32 actual);
    error RoundLedgerRoundOpen(bytes32 twin, uint32 round);
    /// @notice Until then only the station with the index `turn` opens the next round.
    error RoundLedgerNotTurn(bytes32 twin, uint32 round, uint8 turn, uint32 until);
    error RoundLedgerUnexpectedStatus(bytes32 twin, uint32 round, Status current);
    error RoundLedgerWindowTooShort(bytes32 twin, uint24 minSubmitFor, uint24 minAttestFor);
    error RoundLedgerBadMinUpdates(bytes32 twin, uint8 least, uint8 most, uint8 actual);
    error RoundLedgerNotElector(bytes32 twin, uint32 round, address station);
    error RoundLedgerAlreadySubmitted(bytes32 twin, uint32 round, address station);
    /// @notice The base is not the model that this ledger holds for `baseRound` (rollback, unknown or future base).
    error RoundLedgerUnexpectedBase(bytes32 twin, uint32 baseRound, bytes32 expected, bytes32 actual);
    /// @notice Devices train after their base and no later than the round in which they count.
    error RoundLedgerUnexpectedTraining(bytes32 twin, uint32 baseRound, uint32 trainedRound, uint32 round);
    error RoundLedgerAlreadyAttested(bytes32 twin, uint32 round, address station);
    /// @notice `replaced` is not the model that this station votes for now.
    error RoundLedgerUnexpectedVote(bytes32 twin, uint32 round, address station, bytes32 replaced);
    /// @notice Fewer votes or signatures than the quorum.
    error RoundLedgerNoQuorum(bytes32 twin, uint32 round, uint8 quorum, uint8 actual);
    /// @notice Signers come in strictly ascending order of their addresses, one signature each.
    error RoundLedgerUnsortedSigners(address previous, address signer);
    error RoundLedgerBadSignature(address expected, address actual);
    /// @notice The station has no counted update in this round.
    error RoundLedgerNoUpdate(bytes32 twin, uint32 round, address station);
    error RoundLedgerAlreadyDisputed(bytes32 twin, uint32 round, address station, address accuser);
    error RoundLedgerAlreadyRejected(bytes32 twin, uint32 round, address station);
    /// @notice Not what this ledger committed to for that round and station.
    error RoundLedgerUnknownCommitment(bytes32 twin, uint32 round, address station);
    /// @notice Commitments are kept for `COMMITMENTS` rounds; this one's slot belongs to a newer round.
    error RoundLedgerCommitmentGone(bytes32 twin, uint32 round, uint32 oldest);
    /// @notice The leaf isn't under the root.
    error RoundLedgerBadProof(bytes32 root, bytes32 leaf);
    /// @notice The signature is the device's: there is no forgery.
    error RoundLedgerHonestContribution(address device, bytes32 digest);
    /// @notice Not two different contributions of one device to one round of one twin.
    error RoundLedgerNoDoubleCount(address deviceA, address deviceB);
    error RoundLedgerChallengeExists(bytes32 root, bytes32 leaf);
    error RoundLedgerNoChallenge(bytes32 root, bytes32 leaf);
    error RoundLedgerChallengeOpen(uint32 answerUntil);

    /// @notice Sets the model of round 0. Only the twin's owner, once.
    function genesis(bytes32 twin, bytes32 model) external;

    /// @notice Opens the next round with the registry's electorate of this moment. For the policy's `openGrace` seconds
    /// after the end of the round before only the station whose turn it is (number modulo electorate, counted in
    /// ascending indices of the electorate); after that any active station, so that a dead one doesn't stop the twin.
    /// @param submitFor seconds, at least the twin's policy.
    /// @param attestFor seconds after the submit window, at least the twin's policy.
    /// @param minUpdates without which the round can't be attested; from the twin's policy to the whole electorate.
    function openRound(bytes32 twin, uint32 number, uint24 submitFor, uint24 attestFor, uint8 minUpdates) external;

    /// @notice Records a station's update. Late ones (window over, attesting, round final or aborted or older) are
    /// recorded by event and not counted; the same training can be submitted again for a later round, whose
    /// `trainedRound` and `baseRound` then tell how stale it is.
    /// @dev For the newest round, whatever its status, only its electors and only who hasn't submitted in time. Of
    /// older rounds the ledger knows no more than the models: any station may add late updates there, also several.
    /// Only a counted update is committed to, for `COMMITMENTS` rounds. Round 0 is the genesis: a zero value here.
    function submitUpdate(Update calldata update) external;

    /// @notice Records updates of several twins in one transaction; all or none.
    function submitUpdates(Update[] calldata updates) external;

    /// @notice Votes for `model` as the result of the round; at quorum the round is final. Any live elector, also one
    /// that has submitted nothing. An exclusion of an update voids the votes cast before it: they were for a model
    /// that it is part of.
    /// @dev Opens when all live electors have submitted, or at the end of the submit window with `minUpdates` accepted
    /// updates; closes `attestFor` seconds after the end of the submit window in either case.
    /// @param replaced the model this station voted for since the last exclusion in this round, or zero.
    function attest(bytes32 twin, uint32 number, bytes32 model, bytes32 replaced) external;

    /// @notice Makes a model final by signatures instead of votes: EIP-712
    /// `Attestation(bytes32 twin,uint32 round,bytes32 model,uint64 excluded)` of a quorum of live electors.
    /// @param signers strictly ascending by address.
    function finalizeSigned(
        bytes32 twin,
        uint32 number,
        bytes32 model,
        address[] calldata signers,
        bytes[] calldata signatures
    ) external;

    /// @notice Counts the votes for `model` again, and makes it final at quorum: after a suspension, which has made the
    /// quorum smaller. Anyone.
    function tally(bytes32 twin, uint32 number, bytes32 model) external;

    /// @notice Closes a round that can no longer become final. Anyone. The head stays; the next round may open.
    function abortRound(bytes32 twin, uint32 number) external;

    /// @notice Accuses a station's counted update of the open round. A quorum of live electors rejects it.
    /// @param evidence digest of what the accusation rests on.
    function dispute(bytes32 twin, uint32 number, address station, bytes32 evidence) external;

    /// @notice Rejects an update for a leaf that its station committed to, though the signature isn't the device's:
    /// an altered, replayed or made-up contribution. Needs no vote. Any active station.
    function proveForgery(Recorded calldata recorded, Contribution calldata contribution, bytes32[] calldata proof)
        external;

    /// @notice Shows that a device signed two contributions to one round. In one station's tree: that station counted
    /// it twice, and its update is rejected. In two stations' trees: the device is to blame, not the second station,
    /// or a dishonest pair could frame an honest one.
    function proveDoubleCount(
        Recorded calldata recordedA,
        Contribution calldata contributionA,
        bytes32[] calldata proofA,
        Recorded calldata recordedB,
        Contribution calldata contributionB,
        bytes32[] calldata proofB
    ) external;

    /// @notice Says that a counted device isn't in its station's roster. Whoever has the roster proves otherwise
    /// (`answerChallenge` with the roster as root), or the update is rejected.
    function challengeInvented(
        Recorded calldata recorded,
        Contribution calldata contribution,
        bytes32[] calldata proof
    ) external;

    /// @notice Says that a contribution is missing for which the station gave a receipt: EIP-712
    /// `Receipt(bytes32 twin,uint64 round,bytes32 leaf)`, round being the trained one, signed by the station. Whoever
    /// has the tree proves otherwise (`answerChallenge` with the contributions as root), or the update is rejected.
    function challengeOmitted(Recorded calldata recorded, bytes32 leaf, bytes calldata receipt) external;

    /// @notice Ends a challenge: `leaf` is under `root`. Anyone, also after `answerUntil` until it is settled.
    function answerChallenge(
        bytes32 twin,
        uint32 number,
        address station,
        bytes32 root,
        bytes32 leaf,
        bytes32[] calldata proof
    ) external;

    /// @notice Rejects the update, when nobody has answered a challenge by its `answerUntil`. Anyone.
    function settleChallenge(bytes32 twin, uint32 number, address station, bytes32 root, bytes32 leaf) external;

    /// @notice Rounds for which commitments are kept.
    function COMMITMENTS() external view returns (uint32);

    /// @notice Where stations and twins are registered.
    function registry() external view returns (ITwinRegistry);

    /// @notice Newest final round and its model; (0, genesis) before the first, (0, 0) without genesis.
    function head(bytes32 twin) external view returns (uint32 number, bytes32 model);

    /// @notice The final model of a round (0 is the genesis), or zero.
    function modelOf(bytes32 twin, uint32 number) external view returns (bytes32);

    /// @notice The twin's newest round; all zero before the first.
    function roundOf(bytes32 twin) external view returns (Round memory);

    /// @notice Votes of live electors for `model` in the twin's newest round since the last exclusion, as a bit set;
    /// also once the round is over.
    function votesFor(bytes32 twin, bytes32 model) external view returns (uint64);

    /// @notice Who accuses a station's update in the twin's newest round, as a bit set.
    function accusersOf(bytes32 twin, address station) external view returns (uint64);

    /// @notice Until when a challenge can be answered; zero if there is none.
    function challengeUntil(bytes32 twin, uint32 number, address station, bytes32 root, bytes32 leaf)
        external
        view
        returns (uint32);

    /// @notice Whether the ledger committed to this contribution: in the station's tree, signed by the device, and the
    /// device in the roster of that time. Reverts as `proveForgery` for what isn't committed to.
    function verifyContribution(
        Recorded calldata recorded,
        Contribution calldata contribution,
        bytes32[] calldata proof,
        bytes32[] calldata rosterProof
    ) external view returns (bool);

    /// @notice The EIP-712 domain under which devices and stations sign; recomputed when the chain's id changes.
    function domainSeparator() external view returns (bytes32);

    /// @notice Votes that make a model final: ceil(2m/3) of the m live electors, but always more than half of the n of
    /// the opening: suspensions alone can't hand a round to a minority.
    /// @param electorate bit set of station indices at opening.
    /// @param live bit set: those of them that are active.
    function quorumOf(uint64 electorate, uint64 live) external pure returns (uint8);
}
