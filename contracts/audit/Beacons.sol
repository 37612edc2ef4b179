// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISyncAudit} from "../interfaces/ISyncAudit.sol";
import {ITwinRegistry} from "../interfaces/ITwinRegistry.sol";
import {StationSet} from "../lib/StationSet.sol";
import {Clock} from "./Clock.sol";

/// @title The seed of every slot, by commit and reveal
/// @dev Values are fixed before the slot, so nobody chooses after seeing others'; they are put together by XOR, so a
/// proposer can't grind by ordering; no block hash and no prevrandao enters, which a proposer chooses or which are
/// constant. What is left is withholding, and that is a fact on the chain: electorate without revealed.
abstract contract Beacons is Clock {
    using StationSet for uint64;

    bytes32 private constant LINK = keccak256("twin-pdp/v1/link");
    bytes32 private constant REVEAL = keccak256("twin-pdp/v1/reveal");
    bytes32 private constant SEED = keccak256("twin-pdp/v1/seed");
    /// @dev Bounds the gas of a reveal after missed slots.
    uint32 private constant MAX_HOPS = 256;

    struct Anchor {
        bytes32 value;
        uint32 next; // first slot whose value isn't known
    }

    struct Draw {
        uint64 electorate;
        uint64 revealed;
    }

    /// @inheritdoc ISyncAudit
    ITwinRegistry public immutable registry;

    mapping(address station => Anchor) private _anchors;
    mapping(uint32 slot => Draw) internal _draws;
    mapping(uint32 slot => bytes32) private _accumulators;

    constructor(ITwinRegistry registry_) {
        if (address(registry_) == address(0)) revert SyncAuditZeroValue();
        registry = registry_;
    }

    /// @inheritdoc ISyncAudit
    function setAnchor(bytes32 anchor) external {
        // Later a station could choose its value by what others have revealed.
        uint32 slot = _slotIn(Phase.Open);
        registry.electorOf(msg.sender);
        if (anchor == 0) revert SyncAuditZeroValue();
        _anchors[msg.sender] = Anchor(anchor, slot);
        emit AnchorSet(slot, msg.sender, anchor);
    }

    /// @inheritdoc ISyncAudit
    function reveal(bytes32 value) external {
        uint32 slot = _slotIn(Phase.Sealed);
        (uint8 index, uint64 active) = registry.electorOf(msg.sender);
        Anchor storage anchor = _anchors[msg.sender];
        // A slot's value counts once; that of a missed slot never: it may have leaked from a pool.
        if (anchor.value == 0 || anchor.next > slot || slot - anchor.next >= MAX_HOPS) {
            revert SyncAuditBadReveal(msg.sender);
        }
        bytes32 link = value;
        for (uint32 hop = anchor.next; hop <= slot; ++hop) {
            link = keccak256(abi.encode(LINK, block.chainid, address(this), msg.sender, link));
        }
        if (link != anchor.value) revert SyncAuditBadReveal(msg.sender);
        Draw storage draw = _draws[slot];
        // Fixed at the first reveal: who is admitted or suspended later must not change what was needed.
        if (draw.electorate == 0) draw.electorate = active;
        uint64 bit = StationSet.only(index);
        if (!draw.electorate.has(bit)) revert SyncAuditBadReveal(msg.sender);
        draw.revealed |= bit;
        _accumulators[slot] ^= keccak256(abi.encode(REVEAL, slot, msg.sender, value));
        _anchors[msg.sender] = Anchor(value, slot + 1);
        emit Revealed(slot, msg.sender, value);
    }

    /// @inheritdoc ISyncAudit
    function anchorOf(address station) external view returns (bytes32 anchor, uint32 next) {
        return (_anchors[station].value, _anchors[station].next);
    }

    /// @inheritdoc ISyncAudit
    function beaconOf(uint32 slot) external view returns (Beacon memory beacon) {
        Draw memory draw = _draws[slot];
        beacon.acc = _accumulators[slot];
        beacon.electorate = draw.electorate;
        beacon.revealed = draw.revealed;
        beacon.required = _required(draw);
        Phase phase = phaseOf(slot);
        bool over = phase == Phase.Proving || phase == Phase.Closed;
        if (over && draw.revealed.count() >= beacon.required) beacon.seed = _seedOf(slot);
    }

    /// @dev The seed; reverts for a slot that has too few reveals.
    function _seedOf(uint32 slot) internal view returns (bytes32) {
        Draw memory draw = _draws[slot];
        uint8 count = draw.revealed.count();
        if (count < _required(draw)) revert SyncAuditNoBeacon(slot, count, _required(draw));
        return keccak256(abi.encode(SEED, block.chainid, address(this), slot, _accumulators[slot], uint256(count)));
    }

    /// @dev Whether too few stations have revealed, so that nobody could answer.
    function _isVoid(uint32 slot) internal view returns (bool) {
        Draw memory draw = _draws[slot];
        return draw.revealed.count() < _required(draw);
    }

    function _required(Draw memory draw) private pure returns (uint8) {
        return draw.electorate.count() / 2 + 1;
    }
}
