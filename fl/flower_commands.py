"""Runs several of Flower's commands in one process, as its own program ``flwr`` runs one.

Standard input is a JSON list of commands, each a list of words; standard output a JSON list with what was wrong with
each, empty if nothing was.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys

import click
from flwr.cli.app import app


def run(words: list[str]) -> str:
    """Run a command; return what was wrong with it."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            app(words, standalone_mode=False)
        except click.ClickException as error:
            return error.format_message()
        except SystemExit as error:
            return said.getvalue()[-500:] or f"exit code {error.code}" if error.code else ""
        except Exception as error:  # whatever Flower's commands let through
            return f"{type(error).__name__}: {error}; {said.getvalue()[-500:]}"
    return ""


if __name__ == "__main__":
    results = [run(words) for words in json.load(sys.stdin)]
    json.dump(results, sys.stdout)
