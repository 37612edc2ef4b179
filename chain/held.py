"""Tags that a holder serves under, held against its copy and against what the chain says."""

from __future__ import annotations

from dataclasses import dataclass

from chain.audit_values import TagSet
from chain.errors import PDPDataError
from chain.pdp.keys import PublicKey
from chain.pdp.sources import Source, merkle_root
from chain.pdp.tags import TagDomain, Tags, check_tags
from chain.round_ledger import RoundLedger
from chain.sync_audit import SyncAudit
from twins.manifest import ArtifactRef
from twins.types import TwinId, digest_of_bytes


@dataclass(frozen=True)
class Held:
    """Tags that were accepted.

    Attributes:
        tags: the file.
        key: under which.
        artifact: what they are of.
    """

    tags: Tags
    key: PublicKey
    artifact: ArtifactRef


def check_held(
    held: Held, source: Source, audit: SyncAudit, ledger: RoundLedger, twin: TwinId, tag_set: TagSet
) -> None:
    """Hold tags against the bytes and against what the chain says: nothing can be proven with wrong ones.

    Args:
        held: tags, key and what they are of.
        source: the holder's own copy.
        audit: of the consortium.
        ledger: of the consortium.
        twin: whose.
        tag_set: that is in force.

    Raises:
        PDPDataError: the copy isn't what was tagged. PDPTagsError: the tags aren't of it.
    """
    root, block = merkle_root(source, held.key.block), held.key.block
    model, chain_id = ledger.model_of(twin, tag_set.version), audit.chain.chain_id
    named = (tag_set.version, model, tag_set.key_id, root, held.artifact.size, block)
    domain = TagDomain(chain_id, audit.address, twin, *named)
    if digest_of_bytes(domain.tau) != tag_set.tau:
        raise PDPDataError(
            f"tags of {twin}: expected domain {tag_set.tau} by the chain, got {domain.tau.hex()} from this copy: "
            "it isn't whole, or the tagger registered another root or length"
        )
    check_tags(source, held.tags, held.key, domain)
