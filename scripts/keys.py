"""Make and show encrypted key files for stations and administrators.

Examples:
    scripts/keys.py new keys --count 3 --password-file pw     keys/account-0000.json to account-0002.json
    scripts/keys.py show keys                                 their addresses; needs no password

The files are Web3 Secret Storage, as geth and most wallets have it: scrypt, AES-128-CTR. The password comes from
--password-file or from the variable TWINLEDGER_PASSWORD, never from the command line, which every user of a machine
can read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from chain.accounts import Account
from chain.errors import ChainError
from scripts.cli import BadInputError, JsonOption, PlainCommand, application, out, print_json, run
from scripts.home import create_private
from twins.errors import TwinsError
from twins.types import Address, parse_address

PASSWORD = "TWINLEDGER_PASSWORD"

PasswordOption = Annotated[
    Path | None,
    typer.Option("--password-file", help=f"File with the password of key files (.json) [variable {PASSWORD}]."),
]

app = application(__doc__)


@app.command(cls=PlainCommand)
def new(
    folder: Annotated[Path, typer.Argument(help="For the key files.", show_default=False)],
    count: Annotated[int, typer.Option(help="How many.", min=1, max=1000)] = 1,
    password_file: PasswordOption = None,
    json_output: JsonOption = False,
) -> None:
    """Make accounts; a file that is there is never overwritten."""
    secret = password(password_file)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    taken = {int(file.stem[-4:]) for file in folder.glob("account-????.json") if file.stem[-4:].isdigit()}
    index = max(taken, default=-1)
    made: dict[str, Address] = {}
    while len(made) < count:
        index += 1
        account, file = Account.create(), folder / f"account-{index:04d}.json"
        if create_private(file, account.to_keystore(secret)):  # or another command has just taken the number
            made[str(file)] = account.address
    _show(made, json_output)


@app.command(cls=PlainCommand)
def show(
    folder: Annotated[Path, typer.Argument(help="With key files.", show_default=False)],
    json_output: JsonOption = False,
) -> None:
    """Show the addresses of a folder's key files."""
    _show({str(file): _address(file) for file in sorted(folder.glob("*.json"))}, json_output)


def _show(addresses: dict[str, Address], json_output: bool) -> None:
    if json_output:
        print_json(addresses)
    else:
        for file, address in addresses.items():
            out.print(f"{address}  {file}")


def _address(file: Path) -> Address:
    try:
        text = json.loads(file.read_text(encoding="utf-8"))["address"]
        return parse_address("0x" + str(text).removeprefix("0x"))
    except (OSError, ValueError, KeyError, TypeError, TwinsError) as error:
        raise BadInputError(f"{file}: expected a key file, got {type(error).__name__}: {error}") from error


def password(file: Path | None) -> str:
    """Return the password from its file, or else from the environment.

    Raises:
        BadInputError: neither.
    """
    if file is not None:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    if PASSWORD not in os.environ:
        raise BadInputError(f"password: expected --password-file or the variable {PASSWORD}, got neither")
    return os.environ[PASSWORD]


def read_account(file: Path, password_file: Path | None) -> Account:
    """Return the account of a key file: encrypted (.json), or 64 hex digits.

    Raises:
        BadInputError: no key, no password or a wrong one. What the file holds isn't told.
    """
    try:
        text = file.read_text(encoding="utf-8").strip()
        if file.suffix == ".json":
            return Account.from_keystore(text, password(password_file))
        return Account.from_key(bytes.fromhex(text.removeprefix("0x")))
    except (OSError, ValueError) as error:
        # The cause may quote the file's content, which must not end on a terminal.
        raise BadInputError(
            f"{file}: expected a private key of 64 hex digits or an encrypted one (.json), got {type(error).__name__}"
        ) from None
    except ChainError as error:
        raise BadInputError(f"{file}: {error}") from None


def read_accounts(folder: Path, count: int, password_file: Path | None) -> dict[Path, Account]:
    """Return the accounts of the first ``count`` key files (``*.json``, ``*.key``, by name) of a folder, by file.

    Raises:
        BadInputError: fewer than that, the same key twice, or as `read_account`.
    """
    files: Sequence[Path] = sorted([*folder.glob("*.json"), *folder.glob("*.key")])
    if len(files) < count:
        raise BadInputError(f"{folder}: expected {count} files *.json or *.key, one per station, got {len(files)}")
    accounts = {file: read_account(file, password_file) for file in files[:count]}
    if len(set(accounts.values())) < count:
        raise BadInputError(f"{folder}: expected a key of its own for every station, got the same one twice")
    return accounts


if __name__ == "__main__":
    run(app)
