// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Sets of stations as one 64-bit word
/// @notice Bit i stands for the station with index i. At most 64 stations, hence indices 0..63.
library StationSet {
    uint8 internal constant MAX_STATIONS = 64;

    /// @notice The set of the stations 0 .. n-1, for n of at most 64.
    function firstOf(uint8 n) internal pure returns (uint64) {
        // Shifted as uint256: 1 << 64 would be 0 in 64 bits, and all 64 stations an empty set. The cast then cuts
        // nothing off, for 2^64 - 1 is the largest value.
        return uint64((uint256(1) << n) - 1);
    }

    /// @notice The set of one station.
    function only(uint8 index) internal pure returns (uint64) {
        return uint64(1) << index;
    }

    /// @notice Whether the set `one` of one station is part of `set`.
    function has(uint64 set, uint64 one) internal pure returns (bool) {
        return set & one != 0;
    }

    /// @notice Number of stations in the set (H. S. Warren, Hacker's Delight, 2nd ed., figure 5-2, for 64 bits).
    function count(uint64 set) internal pure returns (uint8) {
        // Unchecked: each field of 2, 4, 8 bits holds its own count without carrying over; the product is meant to
        // wrap, its top byte is the sum of all eight bytes and at most 64.
        unchecked {
            set = set - ((set >> 1) & 0x5555555555555555);
            set = (set & 0x3333333333333333) + ((set >> 2) & 0x3333333333333333);
            set = (set + (set >> 4)) & 0x0f0f0f0f0f0f0f0f;
            return uint8((set * 0x0101010101010101) >> 56);
        }
    }

    /// @notice Index of the member with `rank` others below it; `rank` is less than the number of members.
    function nth(uint64 set, uint256 rank) internal pure returns (uint8 index) {
        // Unchecked: a set has `rank` + 1 members at least, so the loop ends before the index reaches 64.
        unchecked {
            for (;; ++index) {
                if (set & only(index) == 0) continue;
                if (rank == 0) return index;
                --rank;
            }
        }
    }
}
