// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPDPVerifier} from "./IPDPVerifier.sol";
import {IRoundLedger} from "./IRoundLedger.sol";
import {ITwinRegistry} from "./ITwinRegistry.sol";

/// @title Who still has what, and when that was last true: synchronised provable data possession
/// @notice The chain's time is cut into slots. In each, the stations make one seed that nobody can choose, and every
/// holder of a twin's artifact proves, within the slot, that it can produce every byte of exactly the version in
/// force. A missing proof is the failure: nothing is written for it. docs/protocol-pdp.md says what this proves, and
/// what it doesn't.
/// @dev Facts are stored, verdicts are derived. Slots are counted from 0, times are Unix seconds.
interface ISyncAudit {
    /// @notice Lengths of a slot's phases in seconds; what is left of the slot is `Closed`.
    struct Timing {
        uint32 slotSeconds;
        uint32 openSeconds;
        uint32 sealSeconds;
        uint32 proveSeconds;
        uint32 disputeSeconds; // after a claim was accepted
    }

    enum Phase {
        Future,
        Open, // anchors
        Sealed, // reveals
        Proving, // proofs
        Closed // disputes alone
    }

    enum Mode {
        None,
        Full, // everything checked by this contract
        Optimistic, // the claimed product can be disputed
        Quorum // checked by stations, who signed
    }

    enum Verdict {
        NotDue, // nothing to prove: no assignment, or no tags
        Pending,
        Proven,
        Provisional, // claimed, and still disputable
        Attested, // stations say so
        Failed, // no proof, or a claim that was struck
        Void // no seed: nobody could answer
    }

    /// @notice How a twin's artifacts are audited; from the next slot on.
    struct Policy {
        uint8 modes; // bit set: 1 << Mode
        uint16 size; // c: blocks per challenge, 1..1024
        uint8 minHolders; // distinct, in one slot, at least 1
        uint8 minTaggers; // distinct, of those holders' lanes, at least 1
        bool attestedCounts; // whether `Attested` makes fresh
        uint64 taggers; // bit set of station indices that may tag
    }

    struct Key {
        address owner;
        uint32 exponentBits;
        uint64 revokedAt; // 0: not
        address data; // contract whose code is 0x00, modulus, generator
    }

    /// @notice The tags of one version in one tagger's lane. The manifest is the ledger's model of that round.
    struct TagSet {
        bytes32 tau;
        bytes32 keyId;
        uint32 version; // round of the model
        uint32 blocks;
        uint32 activeFrom; // slot
    }

    struct Duty {
        address tagger;
        uint32 since; // first slot
        uint32 until; // first slot not any more
    }

    struct Beacon {
        bytes32 acc; // XOR of all reveals
        uint64 electorate; // stations that were active at the first reveal
        uint64 revealed; // of them; who is missing has withheld
        uint8 required;
        bytes32 seed; // zero until `Sealed` is over, and for a void slot
    }

    struct Fact {
        uint64 acceptedAt;
        Mode mode;
        bytes23 claim; // of an optimistic proof: the first bytes of its transcript
    }

    /// @notice The newest time at which a twin's present model was proven by anybody.
    struct TimeState {
        bytes32 manifest;
        uint32 version;
        bool proven; // within the last `MAX_LOOKBACK` slots
        uint32 slot;
        uint64 sealedAt;
        uint16 holders;
        uint8 taggers;
    }

    event KeyRegistered(bytes32 indexed keyId, address indexed owner, uint32 exponentBits, address data);
    event KeyRevoked(bytes32 indexed keyId, address indexed by);
    event PolicySet(bytes32 indexed twin, Policy policy, uint32 activeFrom);
    /// @param tags digest of the manifest that names the file of tags.
    event TagsRegistered(
        bytes32 indexed twin,
        uint32 indexed version,
        address indexed tagger,
        bytes32 keyId,
        bytes32 root,
        uint64 length,
        bytes32 tau,
        bytes32 tags
    );
    event HolderAssigned(bytes32 indexed twin, address indexed tagger, address indexed holder, uint32 since);
    event HolderUnassigned(bytes32 indexed twin, address indexed tagger, address indexed holder, uint32 until);
    event AnchorSet(uint32 indexed slot, address indexed station, bytes32 anchor);
    event Revealed(uint32 indexed slot, address indexed station, bytes32 value);
    /// @param proof keccak256 of what was sent; the bytes are in the calldata.
    event ProofAccepted(uint32 indexed slot, bytes32 indexed twin, address indexed holder, Mode mode, bytes32 proof);
    event ClaimStruck(uint32 indexed slot, bytes23 indexed claim);

    /// @notice An argument that must not be zero is zero.
    error SyncAuditZeroValue();
    error SyncAuditBadTiming();
    error SyncAuditKeyExists(bytes32 keyId);
    error SyncAuditUnknownKey(bytes32 keyId);
    error SyncAuditNotKeyOwner(bytes32 keyId, address account);
    error SyncAuditKeyRevoked(bytes32 keyId);
    error SyncAuditBadPolicy();
    error SyncAuditNoPolicy(bytes32 twin);
    error SyncAuditNotTwinOwner(bytes32 twin, address account);
    error SyncAuditNotTagger(bytes32 twin, address account);
    error SyncAuditNoModel(bytes32 twin);
    error SyncAuditTagsExist(bytes32 twin, uint32 version, bytes32 keyId);
    error SyncAuditBadLength(uint64 length);
    error SyncAuditNoTags(bytes32 twin, address tagger, uint32 slot);
    /// @notice Who makes the tags can prove without the data: it isn't its own holder.
    error SyncAuditOwnHolder(address tagger);
    error SyncAuditAlreadyAssigned(bytes32 twin, address holder, address tagger);
    error SyncAuditNotAssigned(bytes32 twin, address holder, uint32 slot);
    error SyncAuditTooManyHolders(uint8 maximum);
    error SyncAuditModeNotAllowed(bytes32 twin, Mode mode);
    error SyncAuditUnexpectedPhase(uint32 slot, Phase current, Phase expected);
    error SyncAuditBadReveal(address station);
    error SyncAuditNoBeacon(uint32 slot, uint8 count, uint8 required);
    error SyncAuditDuplicateProof(uint32 slot, bytes32 twin, address holder);
    error SyncAuditBadClaimSignature(address holder);
    error SyncAuditNotDisputable(uint32 slot, bytes32 twin, address holder);
    error SyncAuditClaimHolds(bytes23 claim);
    /// @notice A batch is of at least two twins, strictly ascending, all under one key.
    error SyncAuditBadBatch();
    error SyncAuditUnsortedSigners();
    error SyncAuditNotElector(address signer);
    error SyncAuditNoQuorum(uint8 count, uint8 required);

    // -- clock ---------------------------------------------------------------------------------------------

    /// @notice When slot 0 began.
    function genesisTime() external view returns (uint64);
    function timing() external view returns (Timing memory);
    /// @notice The slot of this block, and how far it is.
    function currentSlot() external view returns (uint32 slot, Phase phase);
    function phaseOf(uint32 slot) external view returns (Phase);
    /// @notice Start of a slot's `Sealed`: before it nobody can have known the seed.
    function sealedAt(uint32 slot) external view returns (uint64);

    // -- keys, tags, duties ----------------------------------------------------------------------------------

    /// @notice Registers a tagger's key; whoever sends it owns it. The generator is computed here: nobody chooses it.
    function registerKey(bytes calldata modulus, uint32 exponentBits) external returns (bytes32 keyId);
    /// @notice From now on nothing under this key makes fresh. Its owner, or the registry's admin.
    function revokeKey(bytes32 keyId) external;
    /// @notice Only the twin's owner; from the next slot on.
    function setPolicy(bytes32 twin, Policy calldata policy) external;
    /// @notice Registers the tags of the twin's present model, from the next slot on; of several in one slot the last
    /// one counts. Only a tagger of the twin's policy, under a key of its own.
    /// @param root RFC 6962 tree hash over the unpadded blocks.
    /// @param length bytes of what is stored.
    /// @param tags digest of the manifest that names the file of tags.
    function registerTags(bytes32 twin, bytes32 keyId, bytes32 root, uint64 length, bytes32 tags) external;
    /// @notice Makes an account prove in the sender's lane from the next slot on. Only a tagger of the twin's policy.
    function assign(bytes32 twin, address holder) external;
    /// @notice Ends a duty with this slot. Only the tagger that assigned it.
    function unassign(bytes32 twin, address holder) external;

    // -- beacon ----------------------------------------------------------------------------------------------

    /// @notice Publishes the end of a station's hash chain. Only while this slot is `Open`.
    function setAnchor(bytes32 anchor) external;
    /// @notice Publishes this slot's value of the station's hash chain. Only while this slot is `Sealed`.
    function reveal(bytes32 value) external;

    // -- proofs; anyone may send them ------------------------------------------------------------------------

    function prove(uint32 slot, bytes32 twin, address holder, bytes calldata proof) external;
    /// @param signature the holder's, of the claim (65 bytes): a stranger could fill its place with a false claim.
    function proveOptimistic(
        uint32 slot,
        bytes32 twin,
        address holder,
        bytes calldata claimed,
        bytes calldata signature
    ) external;
    function proveBatch(uint32 slot, bytes32[] calldata twins, address holder, bytes calldata proof) external;
    function proveBatchOptimistic(
        uint32 slot,
        bytes32[] calldata twins,
        address holder,
        bytes calldata claimed,
        bytes calldata signature
    ) external;
    /// @notice Records that stations have verified a proof that they were given off the chain.
    /// @param signatures 65 bytes each, one after another, strictly ascending by signer: floor(2n/3) + 1 of the slot's n
    /// electors, none of them the holder.
    function attest(uint32 slot, bytes32 twin, address holder, bytes32 proofHash, bytes calldata signatures) external;
    /// @notice Strikes a claim whose product is wrong; reverts with `SyncAuditClaimHolds` if it is right.
    function dispute(uint32 slot, bytes32 twin, address holder) external;
    function disputeBatch(uint32 slot, bytes32[] calldata twins, address holder) external;

    // -- what follows from it --------------------------------------------------------------------------------

    function verdict(bytes32 twin, address holder, uint32 slot) external view returns (Verdict);
    /// @notice Whether the twin's present model was proven, by enough holders in enough lanes of one slot, at most
    /// `maxAge` seconds ago.
    function isFresh(bytes32 twin, uint64 maxAge) external view returns (bool);
    /// @notice As `isFresh`, for the model that the caller really uses.
    function isFreshVersion(bytes32 twin, bytes32 manifest, uint64 maxAge) external view returns (bool);
    function timeState(bytes32 twin) external view returns (TimeState memory);
    /// @notice What a holder is asked in a slot; reverts as `prove` where there is nothing to ask.
    function challengeOf(uint32 slot, bytes32 twin, address holder)
        external
        view
        returns (IPDPVerifier.Challenge memory challenge, bytes32 keyId);

    // -- facts -----------------------------------------------------------------------------------------------

    function registry() external view returns (ITwinRegistry);
    function ledger() external view returns (IRoundLedger);
    function verifier() external view returns (IPDPVerifier);
    /// @notice Holders per lane at most.
    function MAX_HOLDERS() external view returns (uint8);
    /// @notice How many slots `isFresh` and `timeState` look back at most.
    function MAX_LOOKBACK() external view returns (uint8);
    function keyOf(bytes32 keyId) external view returns (Key memory);
    /// @notice The policy in force in a slot; all zero if there was none.
    function policyAt(bytes32 twin, uint32 slot) external view returns (Policy memory);
    /// @notice The tags in force in a slot; all zero if there were none.
    function tagsAt(bytes32 twin, address tagger, uint32 slot) external view returns (TagSet memory);
    /// @notice Accounts with a duty that nobody has ended.
    function holdersOf(bytes32 twin) external view returns (address[] memory);
    /// @notice The duty of a holder in a slot; all zero if it had none.
    function dutyAt(bytes32 twin, address holder, uint32 slot) external view returns (Duty memory);
    function beaconOf(uint32 slot) external view returns (Beacon memory);
    /// @return anchor the newest value that was published, or zero
    /// @return next first slot whose value is not known
    function anchorOf(address station) external view returns (bytes32 anchor, uint32 next);
    function factOf(uint32 slot, bytes32 twin, address holder) external view returns (Fact memory);
    /// @return product first 30 bytes of keccak256 of the claimed product
    function claimOf(bytes23 claim) external view returns (bytes30 product, bool struck);
}
