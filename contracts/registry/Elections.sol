// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITwinRegistry} from "../interfaces/ITwinRegistry.sol";
import {StationSet} from "../lib/StationSet.sol";
import {Stations} from "./Stations.sol";

/// @title Elections of the producers, by approval and hosted data
abstract contract Elections is Stations {
    using StationSet for uint64;

    /// @inheritdoc ITwinRegistry
    uint8 public immutable minSeats;

    /// @dev By the voter's index.
    mapping(uint8 index => uint64 candidates) private _ballots;

    constructor(uint8 minSeats_) {
        // An electorate of nobody would be none.
        if (minSeats_ == 0) revert TwinRegistryZeroValue();
        minSeats = minSeats_;
    }

    /// @inheritdoc ITwinRegistry
    function castBallot(uint64 candidates) external {
        uint8 index = _activeRecord(msg.sender).index;
        uint64 unknown = candidates & ~StationSet.firstOf(_consortium.nextNumber - 1);
        if (unknown != 0) revert TwinRegistryUnknownCandidates(unknown);
        _ballots[index] = candidates;
        emit BallotCast(msg.sender, candidates);
    }

    /// @inheritdoc ITwinRegistry
    function elect(uint8 seats) external {
        _activeRecord(msg.sender);
        uint32 current = _epochNow();
        // Stops stations from electing again and again until the ballots of the moment suit them.
        if (_consortium.electedIn == current) revert TwinRegistryTooEarly(current * epoch);
        uint64 active = _consortium.active;
        uint8 most = active.count();
        if (seats < minSeats || seats > most) revert TwinRegistryBadSeats(minSeats, most, seats);
        uint64 producers = _winners(_scores(active), active, seats);
        _consortium.electedIn = current;
        _consortium.producers = producers;
        emit Elected(msg.sender, producers);
    }

    /// @inheritdoc ITwinRegistry
    function ballotOf(address station) external view returns (uint64 candidates) {
        return _ballots[_stationRecord(station).index];
    }

    /// @dev What weight is behind each station; 64 weights of 64 bits can't overflow.
    function _scores(uint64 active) private view returns (uint256[64] memory scores) {
        for (uint8 voter = 0; voter < StationSet.MAX_STATIONS; ++voter) {
            if (!active.has(StationSet.only(voter))) continue;
            uint64 candidates = _ballots[voter] & active;
            if (candidates == 0) continue;
            uint64 weight = _stations[_stationAt[voter]].weight;
            for (uint8 candidate = 0; candidate < StationSet.MAX_STATIONS; ++candidate) {
                if (candidates.has(StationSet.only(candidate))) scores[candidate] += weight;
            }
        }
    }

    /// @dev Of equals the lower index wins. `left` has `seats` members at least.
    function _winners(uint256[64] memory scores, uint64 left, uint8 seats) private pure returns (uint64 winners) {
        for (uint8 seat = 0; seat < seats; ++seat) {
            uint8 best = StationSet.nth(left, 0);
            for (uint8 index = best + 1; index < StationSet.MAX_STATIONS; ++index) {
                if (left.has(StationSet.only(index)) && scores[index] > scores[best]) best = index;
            }
            winners |= StationSet.only(best);
            left &= ~StationSet.only(best);
        }
    }
}
