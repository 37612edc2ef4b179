"""What all commands share: options, output, errors and exit codes.

Exit codes: 0 done; 1 done, and the answer is no (an audit with findings, a devnet that isn't running); 2 it
could not be done: bad input, no node, an interrupted disk; 130 interrupted. An error is one line on stderr
that says what was expected, what was found and how to mend it; a traceback is a defect of ours.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import click
import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand

DEFAULT_HOME = Path(".twinledger")

FAILED = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

HomeOption = Annotated[
    Path, typer.Option("--home", envvar="TWINLEDGER_HOME", help="Folder of the local state.", file_okay=False)
]
RpcOption = Annotated[
    str | None,
    typer.Option("--rpc", metavar="URL", help="JSON-RPC of the chain's nodes, with commas [the devnet's]."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")]

# Without wrapping: a path or digest that is broken over two lines can't be copied, nor found by grep.
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

# By module name: importing fl's errors would import torch, for which `devnet.py status` has no use.
_OUR_ERRORS = ("twins.errors", "chain.errors", "fl.errors", "scripts.cli")

Main = TypeVar("Main", bound=Callable[..., Any])


class BadInputError(Exception):
    """What the user gave can't be used."""


def command(doc: str | None) -> Callable[[Main], Main]:
    """Give a command its module's docstring as help, with the lines of the examples left as they are."""

    def document(main: Main) -> Main:
        # "\b" tells click to leave a paragraph's line breaks alone.
        main.__doc__ = "\n\n".join("\b\n" + part for part in (doc or "").strip().split("\n\n"))
        return main

    return document


def print_json(value: object) -> None:
    """Print a value as one line of JSON on stdout, at once: a program may be reading."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False), flush=True)


class PlainCommand(TyperCommand):
    """A command whose help is plain text.

    Typer escapes the brackets of defaults for rich even where rich doesn't draw the help.
    """

    def get_help(self, ctx: click.Context) -> str:
        """Return the help without those escapes."""
        return super().get_help(ctx).replace("\\[", "[")


def application(doc: str | None = None) -> typer.Typer:
    """Return an empty command line with the behaviour that all share; ``doc`` if it gets several commands."""
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=doc is not None,
    )
    if doc is not None:

        @command(doc)
        def group() -> None: ...

        app.callback(help=group.__doc__)(group)
    return app


def execute(target: typer.Typer | Callable[..., Any], arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        target: a command line, or the function of a single command.
        arguments: those of the process if None.
    """
    if isinstance(target, typer.Typer):
        app = target
    else:
        app = application()
        app.command(cls=PlainCommand)(target)
    try:
        result = typer.main.get_command(app).main(arguments, standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except click.ClickException as error:
        where = f" (see {error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
        err.print(Text.assemble(("error: ", "bold red"), (error.format_message() + where, "red")))
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:  # `… | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13  # SIGPIPE
    except Exception as error:
        if not _expected(error):
            raise
        err.print(Text.assemble(("error: ", "bold red"), (str(error), "red")))
        return FAILED
    if code == INTERRUPTED:
        err.print("interrupted", style="yellow")
    return code


def run(target: typer.Typer | Callable[..., Any]) -> NoReturn:
    """Run a command as this process."""
    sys.exit(execute(target))


def _expected(error: Exception) -> bool:
    return isinstance(error, OSError) or any(kind.__module__.startswith(_OUR_ERRORS) for kind in type(error).__mro__)
