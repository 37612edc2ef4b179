"""Everything that can go wrong with a twin's values and bytes.

::

    TwinsError
    ├── ArtifactError            (cid)
    │   ├── ArtifactNotFoundError
    │   ├── ArtifactCorruptError (expected, actual)
    │   └── StoreError           the store itself failed: disk full, no permission
    ├── FormatError              bytes or text that are not what they claim to be
    │   ├── ModelFormatError
    │   ├── ManifestError
    │   └── BundleError
    ├── SchemaError              a model of another shape
    ├── NonFiniteError           NaN or infinity in a model
    ├── SignatureError
    ├── MerkleError
    └── AggregationError
"""

from __future__ import annotations


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
    """No such artifact in the store."""


class ArtifactCorruptError(ArtifactError):
    """The store returned other bytes than the CID names.

    Attributes:
        actual: the CID of the bytes that came back.
    """

    def __init__(self, cid: str, actual: str) -> None:
        """Name the CID that was asked for and that of the bytes that came back."""
        super().__init__(cid, f"the store returned other bytes: expected {cid}, got {actual}")
        self.actual = actual


class StoreError(TwinsError):
    """The artifact store itself failed (disk full, no permission, unreachable)."""


class FormatError(TwinsError):
    """Bytes or text that are not in the form they claim."""


class ModelFormatError(FormatError):
    """Bytes that are no model: not safetensors, or tensors other than float32."""


class ManifestError(FormatError):
    """Bytes that are no manifest: not canonical JSON, or fields missing or of another type."""


class BundleError(FormatError):
    """Bytes that are no bundle of device updates."""


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


class MerkleError(TwinsError):
    """A Merkle tree that cannot be built, or a proof that does not fit."""


class AggregationError(TwinsError):
    """Nothing to aggregate, or weights that make no sense."""
