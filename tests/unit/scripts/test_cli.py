from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer

from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.errors import DevnetError, RoundLedgerNoGenesis
from scripts.cli import DEFAULT_HOME, BadInputError, HomeOption, application, command, execute, print_json
from scripts.devnet_state import DevnetState, rpc_url
from twins.errors import FormatError
from twins.types import TwinId

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "error",
    [
        BadInputError("expected this, got that"),
        DevnetError("expected this, got that"),
        FormatError("expected [this], got [/that]"),
        RoundLedgerNoGenesis(TwinId("0x" + "ab" * 32)),
        OSError(28, "No space left on device"),
    ],
)
def test_an_error_is_one_line_on_stderr_and_code_2(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise error

    assert execute(main, []) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"error: {error}\n"


def test_a_defect_keeps_its_traceback() -> None:
    def main() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        execute(main, [])


@pytest.mark.parametrize("code", [0, 1])
def test_a_command_gives_its_own_exit_code(code: int) -> None:
    def main() -> None:
        raise typer.Exit(code)

    assert execute(main, []) == code


def test_wrong_usage_is_one_line_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def main(count: Annotated[int, typer.Option(min=1)] = 1) -> None: ...

    for arguments in (["--nothing"], ["--count", "0"], ["--count", "x"], ["extra"]):
        assert execute(main, arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert "--help)" in err
        assert err.count("\n") == 1


def test_an_interrupt_inside_a_command_is_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise KeyboardInterrupt

    assert execute(main, []) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_sigint_ends_a_process_cleanly() -> None:
    code = """
import time
from scripts.cli import run
def main():
    print("ready", flush=True)
    time.sleep(60)
run(main)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.strip() == "interrupted"


def test_a_reader_that_leaves_is_no_error() -> None:
    code = """
from scripts.cli import print_json, run
def main():
    for number in range(100000):
        print_json({"number": number})
run(main)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"number": 0}
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode in (1, 141)


def test_help_keeps_the_lines_of_the_examples(capsys: pytest.CaptureFixture[str]) -> None:
    @command("Do it.\n\nExamples:\n    it.py one      first\n    it.py two      second\n")
    def main(home: HomeOption = DEFAULT_HOME) -> None: ...

    assert execute(main, ["--help"]) == 0
    out = capsys.readouterr().out
    assert "    it.py one      first\n" in out
    assert "    it.py two      second\n" in out
    assert "[env var:" in out
    assert "\\" not in out


def test_several_commands_without_one_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    app = application("What all of it does.")

    @app.command()
    def one() -> None:
        """Do one thing."""

    @app.command()
    def two() -> None: ...

    assert execute(app, ["one"]) == 0
    execute(app, [])
    printed = capsys.readouterr()
    assert "What all of it does." in printed.out + printed.err


def test_the_home_comes_from_the_environment_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []

    def main(home: HomeOption = DEFAULT_HOME) -> None:
        seen.append(home)

    execute(main, [])
    monkeypatch.setenv("TWINLEDGER_HOME", "elsewhere")
    execute(main, [])
    execute(main, ["--home", "here"])
    assert seen == [Path(".twinledger"), Path("elsewhere"), Path("here")]


def test_json_is_one_line_without_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1, "é"]})
    assert capsys.readouterr().out == '{"a": [1, "é"]}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        print_json(float("nan"))


def test_a_devnets_state_survives_its_file(tmp_path: Path) -> None:
    state = DevnetState("hardhat", "http://127.0.0.1:8545", 31337, 1, "99", "devnet.log")
    assert DevnetState.load(tmp_path) is None
    state.save(tmp_path)
    assert DevnetState.load(tmp_path) == state
    # The process with that number was started at another time: it isn't the node.
    assert not state.alive


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid": 1}'])
def test_a_damaged_state_is_named(tmp_path: Path, text: str) -> None:
    DevnetState.file(tmp_path).write_text(text)
    with pytest.raises(BadInputError, match=r"devnet\.json"):
        DevnetState.load(tmp_path)


def test_without_url_and_devnet_the_message_says_what_to_do(tmp_path: Path) -> None:
    assert rpc_url("http://host:1", tmp_path) == "http://host:1"
    with pytest.raises(BadInputError, match=r"scripts/devnet\.py up"):
        rpc_url(None, tmp_path)


def test_the_administrators_key_file_is_never_quoted(tmp_path: Path) -> None:
    from chain.connection import Chain
    from scripts.deploy import administrator

    chain = Chain("http://127.0.0.1:1")
    secret = tmp_path / "admin.key"
    secret.write_text("0x" + "46" * 32 + "\n")
    assert administrator(chain, secret) == Account.from_key(b"\x46" * 32)
    secret.write_text("my secret that is no hex")
    with pytest.raises(BadInputError) as caught:
        administrator(chain, secret)
    assert "secret that" not in str(caught.value)
    assert HARDHAT_MNEMONIC not in str(caught.value)
