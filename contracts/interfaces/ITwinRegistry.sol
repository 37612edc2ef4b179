// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Who and what exists in the consortium
/// @notice Stations (base stations that aggregate), the device roster of each, and the digital twins.
/// Roles are OpenZeppelin AccessControl's: `REGISTRAR_ROLE` admits stations, `GUARDIAN_ROLE` suspends one at once;
/// each a multisig in production. Stations can suspend one of them by themselves, by a quorum of votes.
/// @dev Digests are the SHA-256 of canonical JSON manifests (RFC 8785); the bytes live on IPFS under the CID
/// with the same hash. Nothing here is derived from other stored facts.
interface ITwinRegistry {
    /// @notice The least that every round of a twin must give its stations.
    /// @dev Stops a station that opens a round with windows so short that the others cannot take part.
    struct RoundPolicy {
        uint24 minSubmitFor; // seconds
        uint24 minAttestFor; // seconds
        uint8 minUpdates; // station updates, at least 1
        uint8 openGrace; // seconds after a round's end in which only the station whose turn it is may open the next
    }

    struct Twin {
        address owner;
        uint32 revision; // 1 at registration
        RoundPolicy policy;
        bytes32 manifest;
    }

    struct Station {
        bool registered;
        bool suspended;
        uint8 index; // 0..63: one bit in every set of stations
        uint32 rosterRevision; // 0 while no roster was set
        uint32 deviceCount;
        uint64 weight; // hosted data, in the registrar's unit: the station's say in an election of producers
        bytes32 rosterRoot; // StandardMerkleTree over ["address"]
    }

    event StationRegistered(address indexed station, uint8 index);
    /// @param by the guardian, or the station whose vote decided.
    /// @param evidence digest of what the accusation rests on; anyone can read it under the CID with the same hash.
    event StationSuspended(address indexed station, address indexed by, bytes32 evidence);
    event StationReinstated(address indexed station, address indexed by);
    event SuspensionVoted(address indexed station, address indexed voter, bytes32 evidence);
    event WeightSet(address indexed station, uint64 weight);
    /// @param candidates bit set of station indices; empty withdraws the ballot.
    event BallotCast(address indexed station, uint64 candidates);
    /// @param producers bit set of station indices: the electorate of every round that opens from now on.
    event Elected(address indexed by, uint64 producers);
    event RosterSet(address indexed station, bytes32 root, uint32 deviceCount, uint32 revision);
    /// @param manifest digest of what says which node key each device connects with; zero: none may connect.
    event NodesSet(address indexed station, bytes32 manifest);
    event TwinRegistered(bytes32 indexed twin, address indexed owner, bytes32 manifest, RoundPolicy policy);
    event TwinRevised(bytes32 indexed twin, uint32 revision, bytes32 manifest);
    event TwinTransferred(bytes32 indexed twin, address indexed from, address indexed to);

    /// @notice An argument that must not be zero is zero.
    error TwinRegistryZeroValue();
    error TwinRegistryAlreadyRegistered(address station);
    error TwinRegistryUnknownStation(address account);
    /// @notice A suspended station does nothing: no roster, no update, no vote, no round.
    error TwinRegistrySuspended(address station);
    error TwinRegistryNotSuspended(address station);
    /// @notice The guardian may suspend this many stations per epoch: more would let it choose the quorum by itself.
    error TwinRegistrySuspensionCap(uint8 perEpoch);
    /// @notice A station's voice in a suspension counts once, and never in its own.
    error TwinRegistryAlreadyVoted(address voter, address station);
    error TwinRegistryOwnSuspension(address station);
    error TwinRegistryTooEarly(uint32 notBefore);
    error TwinRegistryBadSeats(uint8 least, uint8 most, uint8 actual);
    error TwinRegistryUnknownCandidates(uint64 candidates);
    /// @notice Every set of stations is one 64-bit word.
    error TwinRegistryFull(uint8 maximum);
    error TwinRegistryTwinExists(bytes32 twin);
    error TwinRegistryUnknownTwin(bytes32 twin);
    error TwinRegistryNotTwinOwner(bytes32 twin, address account);
    error TwinRegistryUnexpectedRevision(bytes32 twin, uint32 expected, uint32 actual);

    /// @notice Admits a station; it gets the next free index. Only `REGISTRAR_ROLE`.
    function registerStation(address station) external returns (uint8 index);

    /// @notice Says how much data a station hosts. Only `REGISTRAR_ROLE`.
    function setWeight(address station, uint64 weight) external;

    /// @notice Suspends a station at once. Only `GUARDIAN_ROLE`, at most `suspensionsPerEpoch()` in each epoch.
    /// @param evidence digest of what the accusation rests on.
    function suspendStation(address station, bytes32 evidence) external;

    /// @notice Votes to suspend another station; ceil(2n/3) of the n active stations (the accused counts in n, and has
    /// no vote) suspend it, without any guardian. Only an active station; once per target since it was last reinstated.
    function voteSuspend(address station, bytes32 evidence) external;

    /// @notice Ends a suspension. Only `REGISTRAR_ROLE`.
    function reinstateStation(address station) external;

    /// @notice Casts the calling station's ballot: approves of any number of candidates; replaces its former ballot.
    function castBallot(uint64 candidates) external;

    /// @notice Makes the `seats` active stations with the most weight behind them the producers, who are the
    /// electorate of every round that opens from now on. A ballot gives its station's weight to each of its
    /// candidates; of equals the lower index wins. Any active station, once in an epoch; ballots of suspended stations
    /// count no more. Before the first election all active stations are the electorate.
    /// @param seats from `minSeats` to the number of active stations.
    function elect(uint8 seats) external;

    /// @notice Enrols all devices of the calling station at once, replacing its former roster.
    /// @param root Merkle root (OpenZeppelin StandardMerkleTree, leaf type `address`) over the devices' addresses.
    function setRoster(bytes32 root, uint32 deviceCount) external;

    /// @notice Names the manifest of the calling station's nodes, replacing the former one: which authentication key
    /// each of its devices connects with, each key in a statement that its device has signed. The station admits no
    /// other key, so whoever is left out of it is cut off.
    /// @param manifest its digest; zero withdraws all.
    function setNodes(bytes32 manifest) external;

    /// @notice Registers a twin; the caller becomes its owner.
    /// @param twin keccak256 of the twin's namespaced name.
    /// @param manifest digest of the twin's own manifest.
    /// @param policy nothing in it but `openGrace` may be zero.
    function registerTwin(bytes32 twin, bytes32 manifest, RoundPolicy calldata policy) external;

    /// @notice Replaces the twin's own manifest. Only its owner; `revision` must be the next.
    function reviseTwin(bytes32 twin, uint32 revision, bytes32 manifest) external;

    /// @notice Hands the twin to another owner. Only its owner.
    function transferTwin(bytes32 twin, address to) external;

    /// @notice What is known of a station; all zero for anyone else.
    function stationOf(address account) external view returns (Station memory);

    /// @notice The manifest of a station's nodes; zero for one without, and for anyone else.
    function nodesOf(address station) external view returns (bytes32 manifest);

    /// @notice Index of a registered station; reverts with `TwinRegistryUnknownStation` for anyone else.
    function indexOf(address account) external view returns (uint8);

    /// @notice The station with this index, or zero.
    function stationAt(uint8 index) external view returns (address);

    /// @notice Stations have the indices 0 .. stationCount - 1.
    function stationCount() external view returns (uint8);

    /// @notice What is known of a twin; reverts with `TwinRegistryUnknownTwin` for an unknown one.
    function twinOf(bytes32 twin) external view returns (Twin memory);

    /// @notice Stations that may act, and those that an election made producers (none before the first election).
    function stationSets() external view returns (uint64 active, uint64 producers);

    /// @notice The ballot that a station has cast.
    function ballotOf(address station) external view returns (uint64 candidates);

    /// @notice Who has voted to suspend a station since it was last reinstated, as a bit set.
    function suspensionVotes(address station) external view returns (uint64 voters);

    /// @notice Seconds of an epoch, from the constructor. Epochs begin at the multiples of their length.
    function epoch() external view returns (uint32);

    /// @notice Least seats of an election, from the constructor.
    function minSeats() external view returns (uint8);

    /// @notice What the guardian may suspend in an epoch: a third of the registered stations rounded down, at least 1.
    function suspensionsPerEpoch() external view returns (uint8);

    /// @notice What the ledger needs to open a round, in one call; reverts as `indexOf` for an opener that is no
    /// station, with `TwinRegistrySuspended` for a suspended one, and as `twinOf` for an unknown twin.
    /// @return electorate active stations, after an election only the producers among them
    /// @return openerIndex index of the opener
    /// @return policy the twin's
    function openingOf(bytes32 twin, address opener)
        external
        view
        returns (uint64 electorate, uint8 openerIndex, RoundPolicy memory policy);

    /// @notice What the ledger needs of a station that submits; reverts as `openingOf`.
    function submitterOf(address account) external view returns (uint8 index, bytes32 rosterRoot);

    /// @notice What the ledger needs of a station that votes or accuses; reverts as `openingOf`.
    function electorOf(address account) external view returns (uint8 index, uint64 active);

    /// @notice The set of stations that have these accounts; reverts as `openingOf` for any that isn't an active one.
    function electorsOf(address[] calldata accounts) external view returns (uint64 stations);
}
