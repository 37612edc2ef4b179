"""Everything that can go wrong with a twin's values and bytes.

::

    TwinsError
    ├── ArtifactError            (cid)
    │   ├── ArtifactNotFoundError
    │   └── ArtifactCorruptError (actual)
    ├── StoreError               the store itself failed: disk full, no permission
    │   ├── NodeUnreachableError (reasons)   no node of the store answers, or none lets us in
    │   └── ReplicationError     (cid, wanted, got, reasons)   too few nodes hold an artifact
    ├── FormatError              bytes or text that are not what they claim to be
    │   ├── ModelFormatError
    │   ├── ManifestError
    │   └── BundleError
    ├── SchemaError              a model of another shape
    ├── NonFiniteError           NaN or infinity in a model
    ├── SignatureError
    ├── NoGrantError             sealed bytes that no key at hand may read
    ├── SealError                sealed bytes that don't open: altered, or another key, or other bytes than promised
    ├── StaleTwinError           (age, missing)   a model that nobody has proven lately to be whole
    ├── MerkleError
    └── AggregationError
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType


class TwinsError(Exception):
    """Root of all errors that `twins` raises."""


class ArtifactError(TwinsError):
    """Something is wrong with one artifact.

    Attributes:
        cid: the artifact's content identifier.
    """

    def __init__(self, cid: str, message: str) -> None:
        """Say which artifact (``cid``) and what about it (``message``)."""
        super().__init__(f"artifact {cid}: {message}")
        self.cid = cid


class ArtifactNotFoundError(ArtifactError):
    """No such artifact in the store.

    Attributes:
        unheard: whether nodes that may have it didn't answer.
    """

    def __init__(self, cid: str, message: str, *, unheard: bool = False) -> None:
        """Say which artifact (``cid``), where it isn't (``message``), and whether that is all there is."""
        super().__init__(cid, message)
        self.unheard = unheard


class ArtifactCorruptError(ArtifactError):
    """The store returned other bytes than the CID names.

    Attributes:
        actual: the CID of the bytes that came back, or what is known of them.
    """

    def __init__(self, cid: str, actual: str, mend: str = "") -> None:
        """Name the CID that was asked for, that of the bytes that came back, and what to do."""
        super().__init__(
            cid, f"the store returned other bytes: expected {cid}, got {actual}" + (f"; {mend}" if mend else "")
        )
        self.actual = actual


class StoreError(TwinsError):
    """The artifact store itself failed (disk full, no permission, unreachable)."""


class NodeUnreachableError(StoreError):
    """No node of the store answers, or none lets us in.

    Attributes:
        reasons: what each node said, by its URL.
    """

    def __init__(self, what: str, reasons: Mapping[str, str]) -> None:
        """Say what was to be done (``what``) and why each node didn't do it."""
        super().__init__(
            f"{what}: expected an answer of one IPFS node at least, got none ({_listed(reasons)}); "
            "start a node, or correct its URL or token"
        )
        self.reasons = MappingProxyType(dict(reasons))


class ReplicationError(StoreError):
    """Fewer nodes than wanted hold an artifact for good.

    Attributes:
        cid: the artifact's.
        wanted: how many nodes should hold it.
        got: how many do.
        reasons: why the others don't, by their URLs.
    """

    def __init__(self, cid: str, wanted: int, got: int, reasons: Mapping[str, str]) -> None:
        """Say how many nodes hold the artifact, how many should, and why the others don't."""
        super().__init__(
            f"artifact {cid}: expected it pinned on {wanted} IPFS nodes, got {got} ({_listed(reasons)}); "
            "mend these nodes or name more of them, then store it again: what is stored already does no harm"
        )
        self.cid = cid
        self.wanted = wanted
        self.got = got
        self.reasons = MappingProxyType(dict(reasons))


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{node}: {reason}" for node, reason in reasons.items()) or "no other node is known"


class FormatError(TwinsError):
    """Bytes or text that are not in the form they claim."""


class ModelFormatError(FormatError):
    """Bytes that are no model: not safetensors, or tensors other than float32."""


class ManifestError(FormatError):
    """Bytes that are no manifest: not canonical JSON, or fields missing or of another type."""


class BundleError(FormatError):
    """Bytes that are no index of contributions, or no device updates as their index says."""


class SchemaError(TwinsError):
    """A model whose tensors have other names or shapes than expected."""


class NonFiniteError(TwinsError):
    """NaN or infinity in a model.

    Attributes:
        what: whose model it is.
        tensor: name of the first tensor concerned.
    """

    def __init__(self, what: str, tensor: str, count: int) -> None:
        """Name the model, the first tensor concerned and how many of its values are not finite."""
        super().__init__(f"{what}: expected finite weights, got {count} NaN or infinite values in tensor {tensor!r}")
        self.what = what
        self.tensor = tensor


class SignatureError(TwinsError):
    """A signature that is malformed, malleable or somebody else's."""


class NoGrantError(TwinsError):
    """Sealed bytes that no key at hand may read: nothing is wrong with them as far as anybody here can tell."""


class SealError(TwinsError):
    """Sealed bytes that a key at hand should open, and that don't open."""


class StaleTwinError(TwinsError):
    """A model that nobody has proven lately to be whole: nothing may be fed with it.

    Attributes:
        age: seconds since it was last proven by anybody; None if it never was.
        missing: what is stale or missing.
    """

    def __init__(self, name: str, number: int, max_age: int, age: int | None, missing: Sequence[str]) -> None:
        """Say how old the newest proof may be, how old it is, and what is missing."""
        proven = "it never was" if age is None else f"that was {age} s ago, or by too few"
        reasons = "; ".join(missing) or "no reason is known"
        super().__init__(
            f"twin {name}, round {number}: expected its possession proven at most {max_age} s ago, got none: {proven} "
            f"({reasons}); wait for the next slot, or see to these holders"
        )
        self.age = age
        self.missing = tuple(missing)


class MerkleError(TwinsError):
    """A Merkle tree that cannot be built, or a proof that does not fit."""


class AggregationError(TwinsError):
    """Nothing to aggregate, or weights that make no sense."""
