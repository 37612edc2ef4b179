// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITwinRegistry} from "./ITwinRegistry.sol";

/// @title What happened: the rounds of every twin
/// @notice One open round per twin. Stations submit their updates, compute the same model from all of them,
/// and attest to its digest; at quorum the round is final and the head moves. No aggregator is believed.
/// @dev Storage keeps what the contract must read; events carry the history. Status is derived, never stored.
/// Errors of the registry (an account that is no station, an unknown twin) come through unchanged.
interface IRoundLedger {
    /// @notice Derived from the round's facts and the block's time.
    enum Status {
        None, // the twin has no round yet
        Submitting, // updates of the electorate are counted
        Attesting, // every elector has submitted, or the window is over with enough updates
        Expired, // nothing more can count: anyone may abort
        Final,
        Aborted
    }

    struct Update {
        bytes32 twin;
        uint32 round;
        uint32 baseRound; // the round whose model the devices trained on
        bytes32 base; // that model's manifest digest
        bytes32 update; // digest of the station-update manifest
        bytes32 contributions; // Merkle root of the devices' contributions
        uint64 examples; // training examples behind the update
    }

    struct Round {
        uint32 number;
        Status status;
        uint32 submitUntil; // block.timestamp, exclusive
        uint32 attestUntil; // block.timestamp, exclusive
        uint8 minUpdates; // zero once the round was aborted
        uint8 quorum; // votes for one model that make it final
        uint64 electorate; // bit sets of station indices, as at opening
        uint64 submitted; // in time: late updates aren't in it
        uint64 voted; // for whichever model
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

    error RoundLedgerZeroValue();
    error RoundLedgerNotTwinOwner(bytes32 twin, address account);
    error RoundLedgerGenesisExists(bytes32 twin);
    error RoundLedgerNoGenesis(bytes32 twin);
    /// @notice Round numbers go up by one: none is skipped, none is used again.
    error RoundLedgerUnexpectedRound(bytes32 twin, uint32 expected, uint32 actual);
    error RoundLedgerRoundOpen(bytes32 twin, uint32 round);
    error RoundLedgerUnexpectedStatus(bytes32 twin, uint32 round, Status current);
    error RoundLedgerWindowTooShort(bytes32 twin, uint24 minSubmitFor, uint24 minAttestFor);
    error RoundLedgerBadMinUpdates(bytes32 twin, uint8 least, uint8 most, uint8 actual);
    error RoundLedgerNotElector(bytes32 twin, uint32 round, address station);
    error RoundLedgerAlreadySubmitted(bytes32 twin, uint32 round, address station);
    /// @notice The base is not the model that this ledger holds for `baseRound` (rollback, unknown or future base).
    error RoundLedgerUnexpectedBase(bytes32 twin, uint32 baseRound, bytes32 expected, bytes32 actual);
    error RoundLedgerAlreadyAttested(bytes32 twin, uint32 round, address station);
    /// @notice `replaced` is not the model that this station votes for now.
    error RoundLedgerUnexpectedVote(bytes32 twin, uint32 round, address station, bytes32 replaced);

    /// @notice Sets the model of round 0. Only the twin's owner, once.
    function genesis(bytes32 twin, bytes32 model) external;

    /// @notice Opens the next round with the stations of this moment as its electorate. Any station, once the round
    /// before is final or aborted.
    /// @param submitFor seconds, at least the twin's policy.
    /// @param attestFor seconds after the submit window, at least the twin's policy.
    /// @param minUpdates without which the round can't be attested; from the twin's policy to the whole electorate.
    function openRound(bytes32 twin, uint32 number, uint24 submitFor, uint24 attestFor, uint8 minUpdates) external;

    /// @notice Records a station's update. Late ones (window over, round final or aborted or older) are recorded by
    /// event and not counted.
    /// @dev For the newest round, whatever its status, only its electors and only who hasn't submitted in time. Of
    /// older rounds the ledger knows no more than the models: any station may add late updates there, also several.
    function submitUpdate(Update calldata update) external;

    /// @notice Votes for `model` as the result of the round; at quorum the round is final. Any elector, also one that
    /// has submitted nothing.
    /// @dev Opens when all electors have submitted, or at the end of the submit window with `minUpdates`; closes
    /// `attestFor` seconds after the end of the submit window in either case.
    /// @param replaced the model this station voted for before in this round, or zero for its first vote.
    function attest(bytes32 twin, uint32 number, bytes32 model, bytes32 replaced) external;

    /// @notice Closes a round that can no longer become final. Anyone. The head stays; the next round may open.
    function abortRound(bytes32 twin, uint32 number) external;

    /// @notice Where stations and twins are registered.
    function registry() external view returns (ITwinRegistry);

    /// @notice Newest final round and its model; (0, genesis) before the first, (0, 0) without genesis.
    function head(bytes32 twin) external view returns (uint32 number, bytes32 model);

    /// @notice The final model of a round (0 is the genesis), or zero.
    function modelOf(bytes32 twin, uint32 number) external view returns (bytes32);

    /// @notice The twin's newest round; all zero before the first.
    function roundOf(bytes32 twin) external view returns (Round memory);

    /// @notice Votes for `model` in the twin's newest round, as a bit set. After an abort the set of the model that
    /// was voted for first reads empty; the events keep it.
    function votesFor(bytes32 twin, bytes32 model) external view returns (uint64);

    /// @notice Votes that make a model final in an electorate of n stations: ceil(2n/3).
    /// @param electorate bit set of station indices.
    function quorumOf(uint64 electorate) external pure returns (uint8);
}
