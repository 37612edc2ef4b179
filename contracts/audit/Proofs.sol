// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IPDPVerifier} from "../interfaces/IPDPVerifier.sol";
import {ISyncAudit} from "../interfaces/ISyncAudit.sol";
import {StationSet} from "../lib/StationSet.sol";
import {Lanes} from "./Lanes.sol";

/// @title Proofs, claims and disputes
/// @dev One word for each accepted proof, whatever its mode. Nobody asks who sends: a proof can be made from the data
/// alone, a claim has its holder's signature, a quorum its own.
abstract contract Proofs is Lanes {
    using StationSet for uint64;

    bytes32 private constant CHALLENGE = keccak256("twin-pdp/v1/challenge");
    bytes32 private constant BATCH = keccak256("twin-pdp/v1/batch");
    bytes32 private constant CLAIM = keccak256("twin-pdp/v1/claim");
    bytes32 private constant QUORUM = keccak256("twin-pdp/v1/quorum");
    /// @dev Bytes of a signature: r, s, v.
    uint256 private constant SIGNATURE = 65;

    struct Claim {
        bytes30 product;
        bool struck;
    }

    mapping(bytes32 factKey => Fact) private _facts;
    mapping(bytes23 claim => Claim) internal _claims;

    /// @inheritdoc ISyncAudit
    function prove(uint32 slot, bytes32 twin, address holder, bytes calldata proof) external {
        _prove(slot, _one(twin), holder, proof);
    }

    /// @inheritdoc ISyncAudit
    function proveOptimistic(
        uint32 slot,
        bytes32 twin,
        address holder,
        bytes calldata claimed,
        bytes calldata signature
    ) external {
        _proveOptimistic(slot, _one(twin), holder, claimed, signature);
    }

    /// @inheritdoc ISyncAudit
    function proveBatch(uint32 slot, bytes32[] calldata twins, address holder, bytes calldata proof) external {
        _requireBatch(twins);
        _prove(slot, twins, holder, proof);
    }

    /// @inheritdoc ISyncAudit
    function proveBatchOptimistic(
        uint32 slot,
        bytes32[] calldata twins,
        address holder,
        bytes calldata claimed,
        bytes calldata signature
    ) external {
        _requireBatch(twins);
        _proveOptimistic(slot, twins, holder, claimed, signature);
    }

    /// @inheritdoc ISyncAudit
    function attest(uint32 slot, bytes32 twin, address holder, bytes32 proofHash, bytes calldata signatures) external {
        (IPDPVerifier.Challenge memory asked,) = _admitOne(slot, twin, holder, Mode.Quorum, _seedInProving(slot));
        bytes32 digest = keccak256(abi.encode(QUORUM, block.chainid, address(this), slot, twin, asked.sigma, proofHash));
        _requireQuorum(_draws[slot].electorate, holder, digest, signatures);
        _recordOne(slot, twin, holder, Fact(uint64(block.timestamp), Mode.Quorum, 0), proofHash);
    }

    /// @inheritdoc ISyncAudit
    function dispute(uint32 slot, bytes32 twin, address holder) external {
        _dispute(slot, _one(twin), holder);
    }

    /// @inheritdoc ISyncAudit
    function disputeBatch(uint32 slot, bytes32[] calldata twins, address holder) external {
        _requireBatch(twins);
        _dispute(slot, twins, holder);
    }

    /// @inheritdoc ISyncAudit
    function challengeOf(uint32 slot, bytes32 twin, address holder)
        external
        view
        returns (IPDPVerifier.Challenge memory challenge, bytes32 keyId)
    {
        Phase phase = phaseOf(slot);
        if (phase != Phase.Proving && phase != Phase.Closed) {
            revert SyncAuditUnexpectedPhase(slot, phase, Phase.Proving);
        }
        bytes16 key;
        (challenge, key,) = _question(slot, twin, holder, _seedOf(slot));
        keyId = _keyIdOf(key);
    }

    /// @inheritdoc ISyncAudit
    function factOf(uint32 slot, bytes32 twin, address holder) external view returns (Fact memory) {
        return _fact(slot, twin, holder);
    }

    /// @inheritdoc ISyncAudit
    function claimOf(bytes23 claim) external view returns (bytes30 product, bool struck) {
        return (_claims[claim].product, _claims[claim].struck);
    }

    function _fact(uint32 slot, bytes32 twin, address holder) internal view returns (Fact storage) {
        return _facts[keccak256(abi.encode(slot, twin, holder))];
    }

    function _prove(uint32 slot, bytes32[] memory twins, address holder, bytes calldata proof) private {
        (IPDPVerifier.Challenge[] memory asked, bytes16 key) = _admit(slot, twins, holder, Mode.Full);
        verifier.verify(_loadKey(key), asked, _transcriptOf(asked), proof);
        _record(slot, twins, holder, Fact(uint64(block.timestamp), Mode.Full, 0), keccak256(proof));
    }

    function _proveOptimistic(
        uint32 slot,
        bytes32[] memory twins,
        address holder,
        bytes calldata claimed,
        bytes calldata signature
    ) private {
        (IPDPVerifier.Challenge[] memory asked, bytes16 key) = _admit(slot, twins, holder, Mode.Optimistic);
        _requireDisputable(asked);
        bytes32 transcript = _transcriptOf(asked);
        bytes32 proof = keccak256(claimed);
        (address signer,,) = ECDSA.tryRecoverCalldata(keccak256(abi.encode(CLAIM, transcript, proof)), signature);
        // A claim can be made from nothing: a stranger could have a holder struck.
        if (signer != holder) revert SyncAuditBadClaimSignature(holder);
        bytes32 product = verifier.verifyClaimed(_loadKey(key), transcript, claimed);
        _claims[bytes23(transcript)] = Claim(bytes30(product), false);
        Fact memory fact = Fact(uint64(block.timestamp), Mode.Optimistic, bytes23(transcript));
        _record(slot, twins, holder, fact, proof);
    }

    function _dispute(uint32 slot, bytes32[] memory twins, address holder) private {
        Fact memory fact = _fact(slot, twins[0], holder);
        IPDPVerifier.Challenge[] memory asked = new IPDPVerifier.Challenge[](twins.length);
        bytes16 key;
        bytes32 seed = _seedOf(slot);
        for (uint256 i = 0; i < twins.length; ++i) {
            (asked[i], key,) = _question(slot, twins[i], holder, seed);
        }
        bytes23 claim = bytes23(_transcriptOf(asked));
        // The transcript of another list of twins is another claim: a wrong list strikes nothing.
        if (
            fact.mode != Mode.Optimistic || fact.claim != claim || _claims[claim].struck
                || block.timestamp >= uint256(fact.acceptedAt) + _disputeSeconds
        ) revert SyncAuditNotDisputable(slot, twins[0], holder);
        bytes32 product = keccak256(verifier.productOf(_loadKey(key), asked));
        if (bytes30(product) == _claims[claim].product) revert SyncAuditClaimHolds(claim);
        _claims[claim].struck = true;
        emit ClaimStruck(slot, claim);
    }

    /// @dev What a holder is asked about these twins now, all under one key.
    function _admit(uint32 slot, bytes32[] memory twins, address holder, Mode mode)
        private
        view
        returns (IPDPVerifier.Challenge[] memory asked, bytes16 key)
    {
        bytes32 seed = _seedInProving(slot);
        asked = new IPDPVerifier.Challenge[](twins.length);
        for (uint256 i = 0; i < twins.length; ++i) {
            bytes16 own;
            (asked[i], own) = _admitOne(slot, twins[i], holder, mode, seed);
            if (i == 0) key = own;
            else if (own != key) revert SyncAuditBadBatch();
        }
    }

    function _admitOne(uint32 slot, bytes32 twin, address holder, Mode mode, bytes32 seed)
        private
        view
        returns (IPDPVerifier.Challenge memory asked, bytes16 key)
    {
        uint8 modes;
        (asked, key, modes) = _question(slot, twin, holder, seed);
        if (_keys[key].revokedAt != 0) revert SyncAuditKeyRevoked(_keyIdOf(key));
        if (modes & (uint8(1) << uint8(mode)) == 0) revert SyncAuditModeNotAllowed(twin, mode);
        // At most one in each period: a second one would replace what others rest on.
        if (_fact(slot, twin, holder).mode != Mode.None) revert SyncAuditDuplicateProof(slot, twin, holder);
    }

    /// @dev The seed of a slot whose proofs are awaited now. Early, it isn't fixed; late, the slot is over: a missing
    /// proof is the failure.
    function _seedInProving(uint32 slot) private view returns (bytes32) {
        Phase phase = phaseOf(slot);
        if (phase != Phase.Proving) revert SyncAuditUnexpectedPhase(slot, phase, Phase.Proving);
        return _seedOf(slot);
    }

    function _question(uint32 slot, bytes32 twin, address holder, bytes32 seed)
        private
        view
        returns (IPDPVerifier.Challenge memory challenge, bytes16 key, uint8 modes)
    {
        address tagger = _dutyAt(twin, holder, slot).tagger;
        if (tagger == address(0)) revert SyncAuditNotAssigned(twin, holder, slot);
        TagEntry storage tags = _tagsAt(twin, tagger, slot);
        uint32 blocks = tags.blocks;
        if (blocks == 0) revert SyncAuditNoTags(twin, tagger, slot);
        PolicyEntry storage policy = _policyAt(twin, slot);
        (bytes32 tau, uint16 size) = (tags.tau, policy.size);
        // The holder is in it, so that nobody hands in another's proof; tau stands for everything else.
        bytes32 sigma = keccak256(abi.encode(CHALLENGE, seed, tau, holder, uint256(size)));
        return (IPDPVerifier.Challenge(tau, sigma, blocks, size), tags.key, policy.modes);
    }

    /// @dev Of one challenge its own sigma; of several a hash of all, so that errors can't be made to cancel.
    function _transcriptOf(IPDPVerifier.Challenge[] memory asked) private pure returns (bytes32) {
        if (asked.length == 1) return asked[0].sigma;
        bytes32[] memory sigmas = new bytes32[](asked.length);
        for (uint256 i = 0; i < asked.length; ++i) {
            sigmas[i] = asked[i].sigma;
        }
        return keccak256(abi.encodePacked(BATCH, sigmas));
    }

    function _record(uint32 slot, bytes32[] memory twins, address holder, Fact memory fact, bytes32 proof) private {
        for (uint256 i = 0; i < twins.length; ++i) {
            _recordOne(slot, twins[i], holder, fact, proof);
        }
    }

    function _recordOne(uint32 slot, bytes32 twin, address holder, Fact memory fact, bytes32 proof) private {
        Fact storage stored = _fact(slot, twin, holder);
        (stored.acceptedAt, stored.mode, stored.claim) = (fact.acceptedAt, fact.mode, fact.claim);
        emit ProofAccepted(slot, twin, holder, fact.mode, proof);
    }

    /// @dev A dispute computes the whole product in one transaction: a claim of more factors than fit into a block could
    /// be false, and nobody could strike it. As many as one twin may be asked for: 18 million gas.
    function _requireDisputable(IPDPVerifier.Challenge[] memory asked) private pure {
        uint256 factors = 0;
        for (uint256 i = 0; i < asked.length; ++i) {
            factors += asked[i].size < asked[i].blocks ? asked[i].size : asked[i].blocks;
        }
        if (factors > MAX_SIZE) revert SyncAuditBadBatch();
    }

    /// @dev Reverts unless two thirds of the electorate and one more have signed, the holder not among them.
    function _requireQuorum(uint64 electorate, address holder, bytes32 digest, bytes calldata signatures)
        private
        view
    {
        uint256 count = signatures.length / SIGNATURE;
        if (signatures.length % SIGNATURE != 0) revert SyncAuditNotElector(address(0));
        uint256 required = 2 * uint256(electorate.count()) / 3 + 1;
        if (count < required) revert SyncAuditNoQuorum(uint8(count), uint8(required));
        address[] memory signers = new address[](count);
        address last = address(0);
        for (uint256 i = 0; i < count;) {
            (bytes32 r, bytes32 s, uint8 v) = _signatureAt(signatures, i);
            // Of a second spelling of a signature (s in the upper half of the order) nobody is the signer. A holder's
            // own word is what the proof is there to replace.
            (address signer,,) = ECDSA.tryRecover(digest, v, r, s);
            if (signer == address(0) || signer == holder) revert SyncAuditNotElector(signer);
            if (signer <= last) revert SyncAuditUnsortedSigners();
            signers[i] = last = signer;
            // Unchecked: there are no more than the calldata has bytes.
            unchecked {
                ++i;
            }
        }
        // Reverts for outsiders, and for who is suspended by now.
        uint64 late = registry.electorsOf(signers) & ~electorate;
        if (late != 0) revert SyncAuditNotElector(registry.stationAt(late.nth(0)));
    }

    /// @dev One of the signatures that lie one after another, which has to be there: a slice would check that again.
    function _signatureAt(bytes calldata signatures, uint256 index)
        private
        pure
        returns (bytes32 r, bytes32 s, uint8 v)
    {
        assembly ("memory-safe") {
            let at := add(signatures.offset, mul(index, 65))
            r := calldataload(at)
            s := calldataload(add(at, 32))
            v := byte(0, calldataload(add(at, 64)))
        }
    }

    function _requireBatch(bytes32[] calldata twins) private pure {
        if (twins.length < 2) revert SyncAuditBadBatch();
        for (uint256 i = 1; i < twins.length; ++i) {
            if (twins[i] <= twins[i - 1]) revert SyncAuditBadBatch();
        }
    }

    function _one(bytes32 twin) private pure returns (bytes32[] memory twins) {
        twins = new bytes32[](1);
        twins[0] = twin;
    }
}
