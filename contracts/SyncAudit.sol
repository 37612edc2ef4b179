// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Beacons} from "./audit/Beacons.sol";
import {Clock} from "./audit/Clock.sol";
import {Keys} from "./audit/Keys.sol";
import {Lanes} from "./audit/Lanes.sol";
import {Proofs} from "./audit/Proofs.sol";
import {IPDPVerifier} from "./interfaces/IPDPVerifier.sol";
import {IRoundLedger} from "./interfaces/IRoundLedger.sol";
import {ISyncAudit} from "./interfaces/ISyncAudit.sol";
import {ITwinRegistry} from "./interfaces/ITwinRegistry.sol";
import {StationSet} from "./lib/StationSet.sol";

/// @title Who still has what, and when that was last true
contract SyncAudit is Proofs {
    using StationSet for uint64;

    /// @inheritdoc ISyncAudit
    uint8 public constant MAX_LOOKBACK = 64;

    /// @dev What a slot shows of one model.
    struct Tally {
        uint32 slot;
        uint16 holders;
        uint64 taggers;
    }

    constructor(ITwinRegistry registry_, IRoundLedger ledger_, IPDPVerifier verifier_, Timing memory timing_)
        Clock(timing_)
        Beacons(registry_)
        Keys(verifier_)
        Lanes(ledger_)
    {}

    /// @inheritdoc ISyncAudit
    function verdict(bytes32 twin, address holder, uint32 slot) public view returns (Verdict) {
        Phase phase = phaseOf(slot);
        address tagger = _dutyAt(twin, holder, slot).tagger;
        if (phase == Phase.Future || tagger == address(0) || _tagsAt(twin, tagger, slot).blocks == 0) {
            return Verdict.NotDue;
        }
        Fact memory fact = _fact(slot, twin, holder);
        if (fact.mode == Mode.Optimistic) {
            if (_claims[fact.claim].struck) return Verdict.Failed;
            if (block.timestamp < uint256(fact.acceptedAt) + _disputeSeconds) return Verdict.Provisional;
        }
        if (fact.mode == Mode.Quorum) return Verdict.Attested;
        if (fact.mode != Mode.None) return Verdict.Proven;
        if (phase != Phase.Closed) return Verdict.Pending;
        // Without a seed nobody could answer: nobody fails, and freshness ages.
        return _isVoid(slot) ? Verdict.Void : Verdict.Failed;
    }

    /// @inheritdoc ISyncAudit
    function isFresh(bytes32 twin, uint64 maxAge) external view returns (bool) {
        (, bytes32 manifest) = ledger.head(twin);
        return isFreshVersion(twin, manifest, maxAge);
    }

    /// @inheritdoc ISyncAudit
    function isFreshVersion(bytes32 twin, bytes32 manifest, uint64 maxAge) public view returns (bool) {
        return _newest(twin, manifest, maxAge, false).holders != 0;
    }

    /// @inheritdoc ISyncAudit
    function timeState(bytes32 twin) external view returns (TimeState memory state) {
        (state.version, state.manifest) = ledger.head(twin);
        Tally memory tally = _newest(twin, state.manifest, type(uint64).max, true);
        if (tally.holders == 0) return state;
        state.proven = true;
        state.slot = tally.slot;
        state.sealedAt = sealedAt(tally.slot);
        state.holders = tally.holders;
        state.taggers = tally.taggers.count();
    }

    /// @dev The newest slot at most `maxAge` seconds ago in which enough holders (or `any`) have proven a model; an
    /// empty tally if there is none. All within one slot: that is what synchronised means.
    function _newest(bytes32 twin, bytes32 manifest, uint64 maxAge, bool any)
        private
        view
        returns (Tally memory tally)
    {
        if (manifest == 0) return tally;
        (uint32 slot,) = currentSlot();
        for (uint256 looked = 0; looked < MAX_LOOKBACK; ++looked) {
            uint64 from = sealedAt(slot);
            // The cautious moment counts: before a slot was sealed nobody can have known its seed.
            if (from <= block.timestamp) {
                if (block.timestamp - from > maxAge) break;
                PolicyEntry memory policy = _policyAt(twin, slot);
                if (policy.minHolders == 0) break; // nothing was asked that early
                tally = _tally(twin, manifest, slot, policy.attestedCounts);
                if (any ? tally.holders != 0 : _isEnough(tally, policy)) return tally;
            }
            if (slot == 0) break;
            --slot;
        }
        delete tally;
    }

    function _isEnough(Tally memory tally, PolicyEntry memory policy) private pure returns (bool) {
        return tally.holders >= policy.minHolders && tally.taggers.count() >= policy.minTaggers;
    }

    /// @dev Holders that have proven this model in a slot, and the lanes that they did it in. A lane counts while its
    /// tagger is an active station that the owner lets tag, and its key isn't revoked.
    function _tally(bytes32 twin, bytes32 manifest, uint32 slot, bool attestedCounts)
        private
        view
        returns (Tally memory tally)
    {
        tally.slot = slot;
        (uint64 active,) = registry.stationSets();
        uint64 allowed = active & _newestTaggers(twin);
        address[] storage holders = _holders[twin];
        for (uint256 i = 0; i < holders.length; ++i) {
            Verdict found = verdict(twin, holders[i], slot);
            if (found != Verdict.Proven && !(attestedCounts && found == Verdict.Attested)) continue;
            address tagger = _dutyAt(twin, holders[i], slot).tagger;
            uint64 bit = StationSet.only(registry.indexOf(tagger));
            if (!allowed.has(bit)) continue;
            TagEntry storage tags = _tagsAt(twin, tagger, slot);
            if (_keys[tags.key].revokedAt != 0 || ledger.modelOf(twin, tags.version) != manifest) continue;
            // Unchecked: 64 lanes of 32 holders are 2048.
            unchecked {
                ++tally.holders;
            }
            tally.taggers |= bit;
        }
    }
}
