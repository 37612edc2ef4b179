"""Where a consortium's contracts are, and proof that they are still those.

A deployment file names the chain, the block of the deployment with its hash, the addresses and the digests of the
ABIs. `open_contracts` holds all of that against a node before anything is believed.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chain.accounts import Account
from chain.audit_values import TEN_MINUTES, Timing
from chain.compiler import Compiler
from chain.connection import Chain, Receipt
from chain.encoding import CONTRACTS, interface
from chain.errors import DeploymentError, WrongChainError
from chain.round_ledger import RoundLedger
from chain.sync_audit import SyncAudit
from chain.twin_registry import TwinRegistry
from chain.values import Governance
from twins.errors import FormatError
from twins.types import Address, Digest, parse_address, parse_digest

DAILY = Governance(epoch=86_400, min_seats=1)
"""Elections and the cap of suspensions by the day; no least number of producers."""


@dataclass(frozen=True)
class Deployment:
    """One deployed consortium.

    Attributes:
        chain_id: EIP-155.
        block: in which the registry was created; nothing happened before.
        block_hash: of that block: chain ids are reused by every local node, hashes aren't.
        registry: the TwinRegistry.
        ledger: the RoundLedger.
        verifier: the PDPVerifier.
        audit: the SyncAudit.
        abi_digests: SHA-256 of each contract's ABI as canonical JSON.
        compiler: version of ``solc``.
    """

    chain_id: int
    block: int
    block_hash: str
    registry: Address
    ledger: Address
    verifier: Address
    audit: Address
    abi_digests: Mapping[str, Digest]
    compiler: str

    @classmethod
    def load(cls, path: Path) -> Deployment:
        """Read a deployment file: ``load(path) == d`` after ``d.save(path)``.

        Raises:
            DeploymentError: no such file, or not one of ours.
        """
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            return cls._parse(value)
        except FileNotFoundError:
            raise DeploymentError(f"{path}: expected a deployment file, got no such file; deploy first") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, FormatError) as error:
            raise DeploymentError(
                f"{path}: expected a deployment file, got {type(error).__name__}: {error}; deploy anew, or restore it"
            ) from error

    @classmethod
    def _parse(cls, value: Mapping[str, Any]) -> Deployment:
        known = {
            "chain_id",
            "block",
            "block_hash",
            "registry",
            "ledger",
            "verifier",
            "audit",
            "abi_digests",
            "compiler",
        }
        if set(value) != known:
            raise FormatError(f"expected the keys {sorted(known)}, got {sorted(value)}")
        for key in ("chain_id", "block"):
            if type(value[key]) is not int or value[key] < 0:
                raise FormatError(f"{key}: expected a natural number, got {value[key]!r}")
        return cls(
            chain_id=value["chain_id"],
            block=value["block"],
            block_hash=parse_digest(value["block_hash"]),
            registry=parse_address(value["registry"]),
            ledger=parse_address(value["ledger"]),
            verifier=parse_address(value["verifier"]),
            audit=parse_address(value["audit"]),
            abi_digests={name: parse_digest(digest) for name, digest in value["abi_digests"].items()},
            compiler=str(value["compiler"]),
        )

    def save(self, path: Path) -> None:
        """Write the file all at once: a reader sees the old one or the new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary = Path(file.name)
        temporary.chmod(0o644)
        temporary.replace(path)


def deploy_contracts(
    chain: Chain,
    admin: Account,
    compiler: Compiler | None = None,
    governance: Governance = DAILY,
    timing: Timing = TEN_MINUTES,
) -> tuple[Deployment, dict[str, Receipt]]:
    """Compile and deploy a registry, a ledger that believes it, and an audit that believes both.

    Args:
        chain: where.
        admin: pays, administers the registry's roles and is its first registrar and guardian.
        compiler: the project's own if None.
        governance: of the registry, for good.
        timing: of the audit's slots, for good.

    Returns:
        The deployment, and the receipts by contract.

    Raises:
        CompilerError: no compiler, or sources that don't compile.
        DeploymentError: the committed ABIs aren't those of the sources.
        ChainError: the chain refused.
    """
    compiler = compiler or Compiler()
    compiled = compiler.compile()
    for name in CONTRACTS:
        if compiled[name].interface.digest != interface(name).digest:
            raise DeploymentError(
                f"ABI of {name}: expected {interface(name).digest} as committed, got "
                f"{compiled[name].interface.digest} "
                "from the sources; renew the ABIs with scripts/abi.py"
            )
    receipts: dict[str, Receipt] = {}

    def create(name: str, *values: object) -> Address:
        arguments = interface(name).constructor.encode(values, name)
        receipts[name] = chain.deploy(admin, compiled[name].bytecode, arguments)
        created = receipts[name].contract_address
        if created is None:
            raise DeploymentError(f"{name}: expected an address in the receipt of {receipts[name].hash}, got none")
        return created

    registry = create("TwinRegistry", admin.address, governance.epoch, governance.min_seats)
    ledger = create("RoundLedger", registry)
    verifier = create("PDPVerifier")
    audit = create("SyncAudit", registry, ledger, verifier, timing)
    chain.settle()  # or the block's hash, by which the deployment is known, could still change
    block = chain.receipt(receipts["TwinRegistry"].hash).block
    block_hash = chain.block_hash(block)
    if block_hash is None:
        raise DeploymentError(f"block {block}: expected it on the chain, got nothing: it was reorganised; deploy anew")
    deployment = Deployment(
        chain_id=chain.chain_id,
        block=block,
        block_hash=block_hash,
        registry=registry,
        ledger=ledger,
        verifier=verifier,
        audit=audit,
        abi_digests={name: interface(name).digest for name in CONTRACTS},
        compiler=compiler.version,
    )
    return deployment, receipts


def open_contracts(chain: Chain, deployment: Deployment) -> tuple[TwinRegistry, RoundLedger]:
    """Hold a deployment against a node, and return its contracts.

    Raises:
        WrongChainError: another chain id.
        DeploymentError: another chain of the same id, a chain that was rolled back, no contracts there,
            contracts of another version, or a ledger that believes another registry.
        ChainUnreachableError: no answer.
    """
    if chain.chain_id != deployment.chain_id:
        raise WrongChainError(chain.url, deployment.chain_id, chain.chain_id)
    for name in CONTRACTS:
        expected, actual = interface(name).digest, deployment.abi_digests.get(name)
        if actual != expected:
            raise DeploymentError(
                f"ABI of {name}: expected {expected}, which this version speaks, got {actual} in the "
                f"deployment; "
                "use the version that deployed it, or deploy anew"
            )
    actual_hash = chain.block_hash(deployment.block)
    if actual_hash != deployment.block_hash:
        raise DeploymentError(
            f"chain {chain.url}, block {deployment.block}: expected hash {deployment.block_hash}, got "
            f"{actual_hash or 'no such block'}; the deployment is of another chain, or this one was started "
            f"anew or "
            "rolled back: deploy anew, or use the right node"
        )
    addresses = (deployment.registry, deployment.ledger, deployment.verifier, deployment.audit)
    for name, address in zip(CONTRACTS, addresses, strict=True):
        if not chain.code(address):
            raise DeploymentError(f"{name} at {address}: expected a contract, got an address without code; deploy anew")
    registry = TwinRegistry(chain, deployment.registry)
    ledger = RoundLedger(chain, deployment.ledger)
    believed = ledger.registry_address()
    if believed != registry.address:
        raise DeploymentError(
            f"RoundLedger at {ledger.address}: expected it to believe the registry {registry.address}, got "
            f"{believed}; "
            "the file mixes two deployments"
        )
    return registry, ledger


def open_audit(chain: Chain, deployment: Deployment) -> SyncAudit:
    """Return the audit of a deployment that `open_contracts` has held against the node.

    Raises:
        DeploymentError: an audit that believes other contracts.
        ChainUnreachableError: no answer.
    """
    audit = SyncAudit(chain, deployment.audit)
    believed = (audit.registry_address(), audit.ledger_address(), audit.verifier_address())
    expected = (deployment.registry, deployment.ledger, deployment.verifier)
    if believed != expected:
        raise DeploymentError(
            f"SyncAudit at {audit.address}: expected it to believe {', '.join(expected)}, got {', '.join(believed)}; "
            "the file mixes two deployments"
        )
    return audit
