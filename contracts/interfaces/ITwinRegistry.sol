// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Who and what exists in the consortium
/// @notice Stations (base stations that aggregate), the device roster of each, and the digital twins.
/// Roles are OpenZeppelin AccessControl's: `REGISTRAR_ROLE` admits stations; a multisig in production.
/// @dev Digests are the SHA-256 of canonical JSON manifests (RFC 8785); the bytes live on IPFS under the CID
/// with the same hash. Nothing here is derived from other stored facts.
interface ITwinRegistry {
    /// @notice The least that every round of a twin must give its stations.
    /// @dev Stops a station that opens a round with windows so short that the others cannot take part.
    struct RoundPolicy {
        uint24 minSubmitFor; // seconds
        uint24 minAttestFor; // seconds
        uint8 minUpdates; // station updates, at least 1
    }

    struct Twin {
        address owner;
        uint32 revision; // 1 at registration
        RoundPolicy policy;
        bytes32 manifest;
    }

    struct Station {
        bool registered;
        uint8 index; // 0..63: one bit in every set of stations
        uint32 rosterRevision; // 0 while no roster was set
        uint32 deviceCount;
        bytes32 rosterRoot; // StandardMerkleTree over ["address"]
    }

    event StationRegistered(address indexed station, uint8 index);
    event RosterSet(address indexed station, bytes32 root, uint32 deviceCount, uint32 revision);
    event TwinRegistered(bytes32 indexed twin, address indexed owner, bytes32 manifest, RoundPolicy policy);
    event TwinRevised(bytes32 indexed twin, uint32 revision, bytes32 manifest);
    event TwinTransferred(bytes32 indexed twin, address indexed from, address indexed to);

    /// @notice An argument that must not be zero is zero.
    error TwinRegistryZeroValue();
    error TwinRegistryAlreadyRegistered(address station);
    error TwinRegistryUnknownStation(address account);
    /// @notice Every set of stations is one 64-bit word.
    error TwinRegistryFull(uint8 maximum);
    error TwinRegistryTwinExists(bytes32 twin);
    error TwinRegistryUnknownTwin(bytes32 twin);
    error TwinRegistryNotTwinOwner(bytes32 twin, address account);
    error TwinRegistryUnexpectedRevision(bytes32 twin, uint32 expected, uint32 actual);

    /// @notice Admits a station; it gets the next free index. Only `REGISTRAR_ROLE`.
    function registerStation(address station) external returns (uint8 index);

    /// @notice Enrols all devices of the calling station at once, replacing its former roster.
    /// @param root Merkle root (OpenZeppelin StandardMerkleTree, leaf type `address`) over the devices' addresses.
    function setRoster(bytes32 root, uint32 deviceCount) external;

    /// @notice Registers a twin; the caller becomes its owner.
    /// @param twin keccak256 of the twin's namespaced name.
    /// @param manifest digest of the twin's own manifest.
    /// @param policy nothing in it may be zero.
    function registerTwin(bytes32 twin, bytes32 manifest, RoundPolicy calldata policy) external;

    /// @notice Replaces the twin's own manifest. Only its owner; `revision` must be the next.
    function reviseTwin(bytes32 twin, uint32 revision, bytes32 manifest) external;

    /// @notice Hands the twin to another owner. Only its owner.
    function transferTwin(bytes32 twin, address to) external;

    /// @notice What is known of a station; all zero for anyone else.
    function stationOf(address account) external view returns (Station memory);

    /// @notice Index of a registered station; reverts with `TwinRegistryUnknownStation` for anyone else.
    function indexOf(address account) external view returns (uint8);

    /// @notice The station with this index, or zero.
    function stationAt(uint8 index) external view returns (address);

    /// @notice Stations have the indices 0 .. stationCount - 1.
    function stationCount() external view returns (uint8);

    /// @notice What is known of a twin; reverts with `TwinRegistryUnknownTwin` for an unknown one.
    function twinOf(bytes32 twin) external view returns (Twin memory);

    /// @notice What the ledger needs to open a round, in one call; reverts as `indexOf` for an opener that is no
    /// station, and as `twinOf` for an unknown twin.
    /// @return electorate bit set of all stations
    /// @return openerIndex index of the opener
    /// @return policy the twin's
    function openingOf(bytes32 twin, address opener)
        external
        view
        returns (uint64 electorate, uint8 openerIndex, RoundPolicy memory policy);
}
