"""What ``devnet.py`` remembers of the local network: ``HOME/devnet.json``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from chain.processes import ProcessIdentity
from scripts.cli import BadInputError
from scripts.home import write_atomically


@dataclass(frozen=True)
class DevnetState:
    """A local network that was started.

    Attributes:
        profile: what kind of network; ``hardhat`` is one node with automine, ``consortium`` geth validators and Kubo
            nodes.
        url: JSON-RPC; of all validators, with commas.
        chain_id: EIP-155.
        pid: of the node, or of the consortium's supervisor.
        started: when that process was started, so that another one with its number isn't taken for it.
        log: file that has its output.
        confirmations: blocks on top of a settled one.
        ipfs: URL of each station's IPFS node, and the file with its bearer token.
    """

    profile: str
    url: str
    chain_id: int
    pid: int
    started: str
    log: str
    confirmations: int = 0
    ipfs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def load(cls, home: Path) -> DevnetState | None:
        """Return what was saved, or None.

        Raises:
            BadInputError: the file was changed by hand.
        """
        file = cls.file(home)
        try:
            saved = json.loads(file.read_text(encoding="utf-8"))
            ipfs = tuple((str(url), str(token_file)) for url, token_file in saved.pop("ipfs", ()))
            return cls(**saved, ipfs=ipfs)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, AttributeError) as error:
            raise BadInputError(
                f"{file}: expected what scripts/devnet.py up wrote there, got {error}; end the node by hand "
                f"and delete it"
            ) from error

    @staticmethod
    def file(home: Path) -> Path:
        """Where it is saved."""
        return home / "devnet.json"

    def save(self, home: Path) -> None:
        """Write it all at once."""
        home.mkdir(parents=True, exist_ok=True)
        write_atomically(self.file(home), json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")

    def ipfs_endpoints(self) -> tuple[tuple[str, str | None], ...]:
        """Return URL and bearer token of each station's IPFS node; none on a devnet that keeps artifacts in a folder.

        Raises:
            BadInputError: a token's file can't be read.
        """
        try:
            return tuple((url, Path(file).read_text(encoding="ascii").strip()) for url, file in self.ipfs)
        except OSError as error:
            raise BadInputError(f"token of an IPFS node: expected it in a file, got {error}") from error

    @property
    def identity(self) -> ProcessIdentity:
        """The process of the node, or of the supervisor."""
        return ProcessIdentity(self.pid, self.started)

    @property
    def alive(self) -> bool:
        """Whether that process runs."""
        return self.identity.alive


def rpc_url(given: str | None, home: Path) -> str:
    """Return the URL that was given, or else the running devnet's.

    Raises:
        BadInputError: neither.
    """
    if given is not None:
        return given
    state = DevnetState.load(home)
    if state is None or not state.alive:
        raise BadInputError(f"no devnet is running in {home}: start it with scripts/devnet.py up, or give --rpc URL")
    return state.url
