"""A consortium's network on this machine: which nodes there are, and where everything of theirs lies.

::

    HOME/consortium/
        network.json        this module's `Network`; private like everything here (mode 0700)
        genesis.json        block 0
        password            of the validators' keys
        validators/NAME/    geth's data, keystore, nodekey; geth.toml
        kubo/NAME/          an IPFS node's repository; NAME.token beside it
        logs/               one per node, turned over by the supervisor
        supervisord.conf, supervisord.pid
        wishes.json         while validators are kept apart or from sealing (`devnet.control`)
        alarm.json          while something is wrong that nobody mends by itself (`devnet.watcher`)

The Unix sockets lie elsewhere (`devnet.sockets`): their paths have to be short.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from chain.errors import ChainError, DevnetError
from devnet import geth_node
from devnet.admin import Admin
from devnet.geth_node import Validator
from devnet.kubo_node import KuboNode


@dataclass(frozen=True)
class Network:
    """What `create` decided once, and what administrators changed since.

    Attributes:
        root: ``HOME/consortium``, absolute; not saved, so the folder may be moved while the network is down.
        chain_id: EIP-155.
        period: seconds between blocks.
        validators: geth nodes, oldest first.
        stations: Kubo nodes, one per station.
        sockets: folder of the Unix sockets.
        geth: program.
        ipfs: program.
    """

    root: Path
    chain_id: int
    period: int
    validators: tuple[Validator, ...]
    stations: tuple[KuboNode, ...]
    sockets: Path
    geth: Path
    ipfs: Path

    @staticmethod
    def exists(root: Path) -> bool:
        """Whether a network was made in this folder, down to the last step."""
        return (root / "network.json").exists()

    @classmethod
    def load(cls, root: Path) -> Network:
        """Return what was saved.

        Raises:
            DevnetError: nothing, or not what `save` wrote.
        """
        file = root / "network.json"
        try:
            saved: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            validators = tuple(Validator(**validator) for validator in saved["validators"])
            stations = tuple(_station(root, station) for station in saved["stations"])
            return cls(
                root=root,
                chain_id=saved["chain_id"],
                period=saved["period"],
                validators=validators,
                stations=stations,
                sockets=Path(saved["sockets"]),
                geth=Path(saved["geth"]),
                ipfs=Path(saved["ipfs"]),
            )
        except FileNotFoundError as error:
            raise DevnetError(f"{file}: expected a network, got none; scripts/devnet.py up makes one") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DevnetError(
                f"{file}: expected what scripts/devnet.py up wrote there, got {error!r}; "
                f"scripts/devnet.py up --fresh starts anew, without what is on this chain"
            ) from error

    def save(self) -> None:
        """Write it all at once."""
        value = asdict(self)
        del value["root"]
        for station in value["stations"]:
            station |= {key: str(station[key].relative_to(self.root)) for key in ("repo", "token_file")}
        write_json(self.root / "network.json", value)

    @property
    def confirmations(self) -> int:
        """Blocks on top of a settled one: a side without a majority makes at most one less (docs/adr/0008)."""
        return len(self.validators) // 2 + 1

    def datadir(self, name: str) -> Path:
        """Folder of a validator."""
        return self.root / "validators" / name

    def ipc(self, name: str) -> Path:
        """Administrators' socket of a validator."""
        return self.sockets / f"{name}.ipc"

    def admin(self, name: str, timeout: float = 5.0) -> Admin:
        """Reach a validator as its administrator."""
        return Admin(self.ipc(name), timeout)

    def answering(self) -> dict[str, Admin]:
        """Reach, by name, the validators that answer their administrator now."""
        admins = {validator.name: self.admin(validator.name) for validator in self.validators}
        return {name: admin for name, admin in admins.items() if _answers(admin)}

    @property
    def names(self) -> tuple[str, ...]:
        """Of all nodes."""
        return (*(node.name for node in self.validators), *(node.name for node in self.stations))

    def validator(self, name: str) -> Validator:
        """Return a validator by name.

        Raises:
            DevnetError: no such one.
        """
        for validator in self.validators:
            if validator.name == name:
                return validator
        known = ", ".join(validator.name for validator in self.validators)
        raise DevnetError(f"validator: expected one of {known}, got {name!r}")

    def command(self, name: str) -> list[str]:
        """Return the words that start a validator."""
        return geth_node.command(
            self.geth,
            self.validator(name),
            datadir=self.datadir(name),
            config=self.datadir(name) / "geth.toml",
            ipc=self.ipc(name),
            password=self.root / "password",
            chain_id=self.chain_id,
        )

    def write_configurations(self) -> None:
        """Write every validator's list of peers; running ones read it when they start the next time."""
        for validator in self.validators:
            peers = [other.enode for other in self.validators if other is not validator]
            write_text(self.datadir(validator.name) / "geth.toml", geth_node.configuration(validator, peers))

    def with_validators(self, validators: Sequence[Validator]) -> Network:
        """Return the network with other validators; save it to keep it."""
        return replace(self, validators=tuple(validators))


def _answers(admin: Admin) -> bool:
    try:
        admin.height()
    except ChainError:
        return False
    return True


def _station(root: Path, saved: dict[str, Any]) -> KuboNode:
    return KuboNode(**{**saved, "repo": root / saved["repo"], "token_file": root / saved["token_file"]})


def write_json(file: Path, value: object) -> None:
    """Write JSON all at once: whoever reads finds the old or the new, never a half."""
    write_text(file, json.dumps(value, indent=2, sort_keys=True, default=str) + "\n")


def write_text(file: Path, text: str) -> None:
    """Write a file, readable by this user alone, all at once."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as stream:
        stream.write(text)
    Path(stream.name).replace(file)
