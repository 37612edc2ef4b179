"""Everything that can go wrong between this program and the chain.

::

    ChainError
    ├── ChainUnreachableError   (url)                no answer: no node, or the network
    ├── WrongChainError         (expected, actual)   another chain id
    ├── RpcError                (code, message)      the node answered, with an error that is no revert
    ├── EncodingError           a value that doesn't fit its Solidity type, bytes that aren't as the ABI says
    ├── DeploymentError         not the contracts that the deployment file names
    ├── CompilerError           no compiler, or sources that don't compile
    ├── DevnetError             the local node
    ├── ChainStalledError       (block)              the nodes answer, but no blocks come
    ├── InterruptedWaitError    this program was asked to stop waiting
    ├── RecordError             what is on the chain isn't what this participant can follow
    ├── PDPClaim                a claimed product that isn't that of the challenged tags
    ├── PDPDataError            tags, keys or bytes that nothing can be proven with
    │   └── PDPTagsError              tags that fail the acceptance test
    ├── TransactionError        (hash)
    │   ├── TransactionTimeoutError   not mined in time: it may still be
    │   ├── TransactionFailedError    mined and reverted, without a reason that a replay could find
    │   └── UndoneError               mined, undone by a reorganisation, and refused when it was sent again
    └── ContractRevertError     (selector, data)
        ├── TwinRegistryError         with one class per custom error of the registry …
        ├── RoundLedgerError          … of the ledger …
        ├── SyncAuditError            … and of the audit
        ├── PDPError                  a proof that is none: found by the verifier, or here (`chain.pdp`)
        ├── AccessControlUnauthorizedAccount (account, needed_role)
        ├── AccessControlBadConfirmation
        ├── RevertReasonError         (reason)   ``require`` with a text, ``Error(string)``
        ├── PanicError                (code)     arithmetic overflow and the like, ``Panic(uint256)``
        └── UnknownRevertError        a revert that no contract of ours declares

A custom error's class has exactly its Solidity name, its arguments are typed attributes in snake case.
"""

from __future__ import annotations

from chain.errors.audit import (
    SyncAuditAlreadyAssigned,
    SyncAuditBadBatch,
    SyncAuditBadClaimSignature,
    SyncAuditBadLength,
    SyncAuditBadPolicy,
    SyncAuditBadReveal,
    SyncAuditBadTiming,
    SyncAuditClaimHolds,
    SyncAuditDuplicateProof,
    SyncAuditError,
    SyncAuditKeyExists,
    SyncAuditKeyRevoked,
    SyncAuditModeNotAllowed,
    SyncAuditNoBeacon,
    SyncAuditNoModel,
    SyncAuditNoPolicy,
    SyncAuditNoQuorum,
    SyncAuditNoTags,
    SyncAuditNotAssigned,
    SyncAuditNotDisputable,
    SyncAuditNotElector,
    SyncAuditNotKeyOwner,
    SyncAuditNotTagger,
    SyncAuditNotTwinOwner,
    SyncAuditOwnHolder,
    SyncAuditTagsExist,
    SyncAuditTooManyHolders,
    SyncAuditUnexpectedPhase,
    SyncAuditUnknownKey,
    SyncAuditUnsortedSigners,
    SyncAuditZeroValue,
)
from chain.errors.base import (
    ChainError,
    ChainStalledError,
    ChainUnreachableError,
    CompilerError,
    DeploymentError,
    DevnetError,
    EncodingError,
    InterruptedWaitError,
    RecordError,
    RpcError,
    TransactionError,
    TransactionFailedError,
    TransactionTimeoutError,
    UndoneError,
    WrongChainError,
)
from chain.errors.disputes import (
    RoundLedgerAlreadyDisputed,
    RoundLedgerAlreadyRejected,
    RoundLedgerBadProof,
    RoundLedgerChallengeExists,
    RoundLedgerChallengeOpen,
    RoundLedgerCommitmentGone,
    RoundLedgerHonestContribution,
    RoundLedgerNoChallenge,
    RoundLedgerNoDoubleCount,
    RoundLedgerNoUpdate,
    RoundLedgerUnknownCommitment,
)
from chain.errors.ledger import (
    RoundLedgerAlreadyAttested,
    RoundLedgerAlreadySubmitted,
    RoundLedgerBadMinUpdates,
    RoundLedgerBadSignature,
    RoundLedgerError,
    RoundLedgerGenesisExists,
    RoundLedgerNoGenesis,
    RoundLedgerNoQuorum,
    RoundLedgerNotElector,
    RoundLedgerNotTurn,
    RoundLedgerNotTwinOwner,
    RoundLedgerRoundOpen,
    RoundLedgerUnexpectedBase,
    RoundLedgerUnexpectedRound,
    RoundLedgerUnexpectedStatus,
    RoundLedgerUnexpectedTraining,
    RoundLedgerUnexpectedVote,
    RoundLedgerUnsortedSigners,
    RoundLedgerWindowTooShort,
    RoundLedgerZeroValue,
)
from chain.errors.pdp import (
    PDPBadKey,
    PDPClaim,
    PDPDataError,
    PDPEquation,
    PDPError,
    PDPLength,
    PDPNotPrime,
    PDPRange,
    PDPResidue,
    PDPTagsError,
)
from chain.errors.registry import (
    TwinRegistryAlreadyRegistered,
    TwinRegistryAlreadyVoted,
    TwinRegistryBadSeats,
    TwinRegistryError,
    TwinRegistryFull,
    TwinRegistryNotSuspended,
    TwinRegistryNotTwinOwner,
    TwinRegistryOwnSuspension,
    TwinRegistrySuspended,
    TwinRegistrySuspensionCap,
    TwinRegistryTooEarly,
    TwinRegistryTwinExists,
    TwinRegistryUnexpectedRevision,
    TwinRegistryUnknownCandidates,
    TwinRegistryUnknownStation,
    TwinRegistryUnknownTwin,
    TwinRegistryZeroValue,
)
from chain.errors.reverts import (
    REVERTS,
    AccessControlBadConfirmation,
    AccessControlUnauthorizedAccount,
    ContractRevertError,
    PanicError,
    RevertReasonError,
    UnknownRevertError,
)

__all__ = [
    "REVERTS",
    "AccessControlBadConfirmation",
    "AccessControlUnauthorizedAccount",
    "ChainError",
    "ChainStalledError",
    "ChainUnreachableError",
    "CompilerError",
    "ContractRevertError",
    "DeploymentError",
    "DevnetError",
    "EncodingError",
    "InterruptedWaitError",
    "PDPBadKey",
    "PDPClaim",
    "PDPDataError",
    "PDPEquation",
    "PDPError",
    "PDPLength",
    "PDPNotPrime",
    "PDPRange",
    "PDPResidue",
    "PDPTagsError",
    "PanicError",
    "RecordError",
    "RevertReasonError",
    "RoundLedgerAlreadyAttested",
    "RoundLedgerAlreadyDisputed",
    "RoundLedgerAlreadyRejected",
    "RoundLedgerAlreadySubmitted",
    "RoundLedgerBadMinUpdates",
    "RoundLedgerBadProof",
    "RoundLedgerBadSignature",
    "RoundLedgerChallengeExists",
    "RoundLedgerChallengeOpen",
    "RoundLedgerCommitmentGone",
    "RoundLedgerError",
    "RoundLedgerGenesisExists",
    "RoundLedgerHonestContribution",
    "RoundLedgerNoChallenge",
    "RoundLedgerNoDoubleCount",
    "RoundLedgerNoGenesis",
    "RoundLedgerNoQuorum",
    "RoundLedgerNoUpdate",
    "RoundLedgerNotElector",
    "RoundLedgerNotTurn",
    "RoundLedgerNotTwinOwner",
    "RoundLedgerRoundOpen",
    "RoundLedgerUnexpectedBase",
    "RoundLedgerUnexpectedRound",
    "RoundLedgerUnexpectedStatus",
    "RoundLedgerUnexpectedTraining",
    "RoundLedgerUnexpectedVote",
    "RoundLedgerUnknownCommitment",
    "RoundLedgerUnsortedSigners",
    "RoundLedgerWindowTooShort",
    "RoundLedgerZeroValue",
    "RpcError",
    "SyncAuditAlreadyAssigned",
    "SyncAuditBadBatch",
    "SyncAuditBadClaimSignature",
    "SyncAuditBadLength",
    "SyncAuditBadPolicy",
    "SyncAuditBadReveal",
    "SyncAuditBadTiming",
    "SyncAuditClaimHolds",
    "SyncAuditDuplicateProof",
    "SyncAuditError",
    "SyncAuditKeyExists",
    "SyncAuditKeyRevoked",
    "SyncAuditModeNotAllowed",
    "SyncAuditNoBeacon",
    "SyncAuditNoModel",
    "SyncAuditNoPolicy",
    "SyncAuditNoQuorum",
    "SyncAuditNoTags",
    "SyncAuditNotAssigned",
    "SyncAuditNotDisputable",
    "SyncAuditNotElector",
    "SyncAuditNotKeyOwner",
    "SyncAuditNotTagger",
    "SyncAuditNotTwinOwner",
    "SyncAuditOwnHolder",
    "SyncAuditTagsExist",
    "SyncAuditTooManyHolders",
    "SyncAuditUnexpectedPhase",
    "SyncAuditUnknownKey",
    "SyncAuditUnsortedSigners",
    "SyncAuditZeroValue",
    "TransactionError",
    "TransactionFailedError",
    "TransactionTimeoutError",
    "TwinRegistryAlreadyRegistered",
    "TwinRegistryAlreadyVoted",
    "TwinRegistryBadSeats",
    "TwinRegistryError",
    "TwinRegistryFull",
    "TwinRegistryNotSuspended",
    "TwinRegistryNotTwinOwner",
    "TwinRegistryOwnSuspension",
    "TwinRegistrySuspended",
    "TwinRegistrySuspensionCap",
    "TwinRegistryTooEarly",
    "TwinRegistryTwinExists",
    "TwinRegistryUnexpectedRevision",
    "TwinRegistryUnknownCandidates",
    "TwinRegistryUnknownStation",
    "TwinRegistryUnknownTwin",
    "TwinRegistryZeroValue",
    "UndoneError",
    "UnknownRevertError",
    "WrongChainError",
]
