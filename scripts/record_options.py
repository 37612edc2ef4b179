"""Options that ``dispute.py``, ``guard.py`` and ``grants.py`` share: where the record is, and who sends."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from rich.console import Console
from rich.table import Table

from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.connection import Receipt
from chain.hardhat_node import CHAIN_ID
from scripts.cases import Case
from scripts.cli import DEFAULT_HOME, BadInputError, HomeOption, RpcOption, out, print_json
from scripts.connections import (
    ConfirmationsOption,
    IpfsOption,
    IpfsTokensOption,
    Network,
    PatienceOption,
    Reach,
)
from scripts.home import Home
from scripts.keys import PasswordOption, read_account
from twins.archive import Archive
from twins.content import CHUNK
from twins.types import TwinId

KeyOption = Annotated[Path | None, typer.Option(help="Key file of who sends: hex, or encrypted (.json).")]
EvidenceOption = Annotated[Path | None, typer.Option(help="File that the accusation rests on; anyone can read it.")]
TextOption = Annotated[str | None, typer.Option(help="The same in words, instead of a file.")]
AccountOption = Annotated[
    int | None, typer.Option(help="Instead, on a devnet: Hardhat's account with this number.", min=0, max=79)
]


@dataclass(frozen=True)
class Place:
    """Where chain, contracts and artifacts are."""

    home: Path
    rpc: str | None
    deployment: Path | None
    artifacts: Path | None
    ipfs: Sequence[str]
    ipfs_tokens: Path | None
    confirmations: int | None
    patience: float | None

    @property
    def reach(self) -> Reach:
        """How to get there."""
        return Reach(
            Home(self.home),
            self.rpc,
            self.ipfs,
            self.ipfs_tokens,
            self.artifacts,
            confirmations=self.confirmations,
            patience=self.patience,
        )

    def network(self) -> Network:
        """Connect to the chain.

        Raises:
            BadInputError, ChainError: as `Reach` and `Network`.
        """
        return Network.open(self.reach.chain(), self.deployment or Home(self.home).deployment)

    def case(self, twin: TwinId) -> Case:
        """Connect to the chain and the store.

        Raises:
            BadInputError, ChainError, StoreError: as `Reach` and `Network`.
        """
        return Case(twin, self.network(), Archive(self.reach.store()))


@dataclass(frozen=True)
class Sender:
    """Who sends a transaction, and pays for it."""

    key: Path | None
    account: int | None
    password_file: Path | None

    def of(self, network: Network) -> Account:
        """Return the account.

        Raises:
            BadInputError: not exactly one of --key and --account, no key in the file, or --account on a chain where
                Hardhat's public keys are nobody's.
        """
        if (self.key is None) == (self.account is None):
            got = "neither" if self.key is None else "both"
            raise BadInputError(f"--key and --account: expected one of them, got {got}; name a key file of your own")
        if self.key is not None:
            return read_account(self.key, self.password_file)
        chain_id = network.chain.chain_id
        if chain_id != CHAIN_ID:
            raise BadInputError(
                f"--account: expected a devnet (chain id {CHAIN_ID}), whose keys are public, got chain id {chain_id}; "
                "give --key"
            )
        return Account.from_mnemonic(HARDHAT_MNEMONIC, self.account or 0)


def place(
    home: HomeOption = DEFAULT_HOME,
    rpc: RpcOption = None,
    deployment: Annotated[Path | None, typer.Option(help="Deployment file [HOME/deployment.json].")] = None,
    artifacts: Annotated[
        Path | None,
        typer.Option(help="Folder of an embedded store [the devnet's IPFS nodes, or HOME/artifacts]."),
    ] = None,
    ipfs: IpfsOption = None,
    ipfs_tokens: IpfsTokensOption = None,
    confirmations: ConfirmationsOption = None,
    patience: PatienceOption = None,
) -> Place:
    """Return the place that the options name."""
    return Place(home, rpc, deployment, artifacts, tuple(ipfs or ()), ipfs_tokens, confirmations, patience)


def sender(key: KeyOption = None, account: AccountOption = None, password_file: PasswordOption = None) -> Sender:
    """Return the sender that the options name."""
    return Sender(key, account, password_file)


def with_options(*groups: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of functions; it is handed what each returns, under the function's name.

    Typer reads a command's signature, so the wrapper says what it takes in place of ``place`` and ``sender``.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        names = {group.__name__ for group in groups}
        own = [p for p in inspect.signature(command).parameters.values() if p.name not in names]
        taken = {group: tuple(inspect.signature(group).parameters) for group in groups}
        hints = {n: h for f in (command, *groups) for n, h in get_type_hints(f, include_extras=True).items()}

        @wraps(command)
        def wrapper(**values: Any) -> None:
            made = {group.__name__: group(**{name: values.pop(name) for name in taken[group]}) for group in groups}
            command(**values, **made)

        shared = [p for group in groups for p in inspect.signature(group).parameters.values()]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[p.name]) for p in (*own, *shared)]
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        return wrapper

    return decorate


def evidence_of(file: Path | None, text: str | None) -> bytes:
    """Return what an accusation rests on.

    Raises:
        BadInputError: not exactly one of file and text, nothing in it, or more than one block: then the chain's 32
            bytes would not be enough to fetch it.
    """
    if (file is None) == (text is None):
        got = "neither" if file is None else "both"
        raise BadInputError(f"--evidence and --text: expected one of them, got {got}; an accusation needs its reason")
    data = file.read_bytes() if file is not None else (text or "").encode()
    if not 0 < len(data) <= CHUNK:
        raise BadInputError(
            f"{file or '--text'}: expected 1 to {CHUNK} bytes of evidence, got {len(data)}; store larger things on "
            "their own and give a file that names them"
        )
    return data


def told(receipt: Receipt | None, words: str, json_output: bool, **more: object) -> None:
    """Say what was done, and in which transaction."""
    if json_output:
        sent = {} if receipt is None else {"transaction": receipt.hash, "gas": receipt.gas_used}
        print_json({**sent, **more})
    else:
        out.print(words, markup=False)


def wide(table: Table) -> None:
    """Print a table as wide as it is: a cut address can't be copied."""
    Console(width=max(out.width, 150), highlight=False).print(table)
