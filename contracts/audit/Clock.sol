// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISyncAudit} from "../interfaces/ISyncAudit.sol";

/// @title The chain's time, cut into slots
/// @dev Seconds of `block.timestamp` and not block numbers: freshness is a duration, and a signer that is down slows
/// blocks, not time. Intervals are half-open.
abstract contract Clock is ISyncAudit {
    /// @inheritdoc ISyncAudit
    uint64 public immutable genesisTime;

    uint32 internal immutable _slotSeconds;
    uint32 internal immutable _disputeSeconds;
    uint32 private immutable _openSeconds;
    uint32 private immutable _sealSeconds;
    uint32 private immutable _proveSeconds;

    constructor(Timing memory timing_) {
        uint256 phases = uint256(timing_.openSeconds) + timing_.sealSeconds + timing_.proveSeconds;
        bool none = timing_.openSeconds == 0 || timing_.sealSeconds == 0 || timing_.proveSeconds == 0;
        // Something of the slot is left at its end: who looks there sees a verdict before the next begins.
        if (none || timing_.disputeSeconds == 0 || phases >= timing_.slotSeconds) revert SyncAuditBadTiming();
        genesisTime = uint64(block.timestamp);
        _slotSeconds = timing_.slotSeconds;
        _openSeconds = timing_.openSeconds;
        _sealSeconds = timing_.sealSeconds;
        _proveSeconds = timing_.proveSeconds;
        _disputeSeconds = timing_.disputeSeconds;
    }

    /// @inheritdoc ISyncAudit
    function timing() external view returns (Timing memory) {
        return Timing(_slotSeconds, _openSeconds, _sealSeconds, _proveSeconds, _disputeSeconds);
    }

    /// @inheritdoc ISyncAudit
    function currentSlot() public view returns (uint32 slot, Phase phase) {
        uint256 elapsed = block.timestamp - genesisTime;
        slot = uint32(elapsed / _slotSeconds);
        uint256 within = elapsed % _slotSeconds;
        if (within < _openSeconds) return (slot, Phase.Open);
        within -= _openSeconds;
        if (within < _sealSeconds) return (slot, Phase.Sealed);
        within -= _sealSeconds;
        return (slot, within < _proveSeconds ? Phase.Proving : Phase.Closed);
    }

    /// @inheritdoc ISyncAudit
    function phaseOf(uint32 slot) public view returns (Phase) {
        (uint32 current, Phase phase) = currentSlot();
        if (slot == current) return phase;
        return slot < current ? Phase.Closed : Phase.Future;
    }

    /// @inheritdoc ISyncAudit
    function sealedAt(uint32 slot) public view returns (uint64) {
        // Unchecked: the product of two numbers of 32 bits, and a time, are far below 2^64.
        unchecked {
            return genesisTime + uint64(slot) * _slotSeconds + _openSeconds;
        }
    }

    /// @dev The slot of now, which has to be in this phase.
    function _slotIn(Phase expected) internal view returns (uint32 slot) {
        Phase phase;
        (slot, phase) = currentSlot();
        if (phase != expected) revert SyncAuditUnexpectedPhase(slot, phase, expected);
    }

    /// @dev From when on what is decided now is in force: who is asked in a slot must not change within it.
    function _nextSlot() internal view returns (uint32 slot) {
        (slot,) = currentSlot();
        // Unchecked: one slot in each second would take 136 years to reach 2^32.
        unchecked {
            ++slot;
        }
    }
}
