"""A twin as whoever simulates with it sees it: its newest model, or a clear no.

Before a simulation is fed, two questions need answers that nobody has to be believed for: are these the bytes that the
consortium agreed on, and when was it last proven that they are still held whole? `Twin.open` is handed who answers
them, so it knows no chain::

    twin = Twin.open("watch", archive, verifier, max_age=1200)
    weights = twin.model.tensors
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twins.archive import Archive
from twins.errors import StaleTwinError, TwinsError
from twins.manifest import TwinModelManifest
from twins.model import TwinModel
from twins.types import Digest, TwinId, twin_id


@dataclass(frozen=True)
class ProvenHead:
    """What a verifier says of a twin's newest model.

    Attributes:
        model: digest of its manifest, on a block that is settled.
        round: of the model.
        fresh: whether enough holders have proven within the time that was asked for to hold exactly it.
        proven_at: Unix seconds, by the chain, at which it was last proven by anybody; None if it never was.
        now: Unix seconds, by the chain.
        missing: what is stale or missing, in words, one for each holder or reason.
    """

    model: Digest
    round: int
    fresh: bool
    proven_at: int | None
    now: int
    missing: tuple[str, ...] = ()


class Verifier(Protocol):
    """Who vouches for a twin's newest model: `chain.freshness.FreshnessVerifier`."""

    def head(self, twin: TwinId, max_age: int) -> ProvenHead:
        """Return the newest settled model, and whether it was proven at most ``max_age`` seconds ago.

        Raises:
            ChainError: nobody can be asked.
        """


@dataclass(frozen=True)
class Twin:
    """A twin that may be used.

    Attributes:
        twin: its id.
        manifest: of its newest model.
        model: the weights.
        head: what was known of it when it was opened.
    """

    twin: TwinId
    manifest: TwinModelManifest
    model: TwinModel
    head: ProvenHead

    @classmethod
    def open(cls, name: str, archive: Archive, verifier: Verifier, *, max_age: int) -> Twin:
        """Load the newest model, if it is the consortium's and was proven lately.

        Args:
            name: of the twin.
            archive: any store; it is not trusted.
            verifier: asked for the head and its freshness.
            max_age: seconds since the newest proof, at most. A slot plus its sealing and proving at least, or it can't
                be had all the time.

        Raises:
            StaleTwinError: it was not proven lately; says who didn't prove what, and when.
            ArtifactError, ManifestError, ModelFormatError: the bytes are missing, or are others than the head names.
        """
        twin = twin_id(name)
        head = verifier.head(twin, max_age)
        if int(head.model, 16) == 0:
            raise StaleTwinError(name, head.round, max_age, None, ("the twin has no model yet",))
        if not head.fresh:
            age = None if head.proven_at is None else head.now - head.proven_at
            raise StaleTwinError(name, head.round, max_age, age, head.missing)
        manifest = archive.manifest(TwinModelManifest, head.model)
        if (manifest.twin, manifest.round) != (twin, head.round):
            raise TwinsError(
                f"twin {name}: expected round {head.round} of {twin} under {head.model}, got round {manifest.round} of "
                f"{manifest.twin}; the consortium made another twin's model final"
            )
        return cls(twin, manifest, archive.model(manifest.model), head)
