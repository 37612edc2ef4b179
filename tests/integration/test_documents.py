"""The documents are true: every command runs, in order, as a reader would run it; what is named is there.

How a block is marked (the HTML comment stands in the line above its fence; GitHub doesn't show it):

* ``sh`` and ``python`` blocks are run, in a fresh copy of the project, in one shell per document.
* ``<!-- not run: REASON -->``: left out. Only what sets up a machine may be (``make``, ``git clone``).
* ``<!-- file: PATH -->``: a ``python`` block that the reader saves as PATH.
* ``text`` blocks are what the block before printed: their lines, in this order, perhaps with others between. Figures
  and digests may differ, since they change with versions and processors; an ellipsis stands for anything.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import tables

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).parents[2]
DOCUMENTS = (
    *(PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((PROJECT / "docs").rglob("*.md")),
)
# What CONTRIBUTING.md says is for whoever changes the code: its commands are this test suite's own.
RUNNABLE = tuple(document for document in DOCUMENTS if document.name != "CONTRIBUTING.md")
LEFT_OUT = (".git", ".venv", "node_modules", "build", ".twinledger", ".hypothesis", "__pycache__", ".*_cache")
SECONDS = 900  # against a hang: all documents together take about 70 on two idle cores
READERS = 3
MARK = "==> block "

BLOCK = re.compile(r"^(?:<!-- (?P<note>[^\n]*) -->\n)?```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
PROSE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")
PATH = re.compile(r"`(?P<path>(?:tests|docs|twins|fl|chain|contracts|scripts|benchmarks|requirements)/[\w./-]*)`")
TEST = re.compile(r"`(?P<test>test_\w+)`")
TARGET = re.compile(r"(?:`|^)make (?P<target>[a-z]+)(?=`|$|\s+#|\s+ARGS)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its kind, its mark (or nothing) and its text."""

    kind: str
    note: str
    body: str

    @property
    def left_out(self) -> bool:
        return self.note.startswith("not run:")

    @property
    def file(self) -> str | None:
        return self.note.removeprefix("file:").strip() if self.note.startswith("file:") else None


def blocks(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    return [Block(m["kind"], m["note"] or "", m["body"]) for m in BLOCK.finditer(text)]


def name(document: Path) -> str:
    return str(document.relative_to(PROJECT))


def runs(document: Path) -> bool:
    return any(block.kind in ("sh", "python") and not block.left_out for block in blocks(document))


def script(parts: list[Block], staged: Path) -> Iterator[str]:
    """One bash script of a document; each block announces itself, so that its output can be told apart."""
    yield "set -euo pipefail"
    for index, block in enumerate(parts):
        if block.left_out or block.kind not in ("sh", "python"):
            continue
        yield f"echo; echo '{MARK}{index}'"
        if block.kind == "sh":
            # A reader has port 8545 to herself; tests run beside each other.
            yield re.sub(r"(devnet\.py up)\b", r"\1 --port 0", block.body)
            continue
        source = staged / f"{index}.py"
        source.write_text(block.body, encoding="utf-8")
        yield f"cp {source} {block.file}" if block.file else f".venv/bin/python {source}"


def outputs(said: str) -> dict[int, list[str]]:
    """Split what a script said by block."""
    parts: dict[int, list[str]] = {}
    for part in said.split(f"\n{MARK}")[1:]:
        number, _, output = part.partition("\n")
        parts[int(number)] = output.splitlines()
    return parts


def shape(line: str) -> str:
    """A line without its figures: digests, decimals and counts are one sign each."""
    line = re.sub(r"0x[0-9a-fA-F]+", "0x", line.strip())
    line = re.sub(r"\d[\d,]*(?:\.\d+)?", "#", line)
    return re.sub(r"\s+", " ", line)


def missing_line(shown: list[str], said: list[str]) -> str | None:
    """Return the first line that was shown to the reader and not said, in this order, or None."""
    rest = iter(map(shape, said))
    for line in filter(str.strip, shown):
        pattern = ".*".join(map(re.escape, shape(line).split("…")))
        if not any(re.fullmatch(pattern, other) for other in rest):
            return line
    return None


def copy_project(place: Path) -> None:
    """Make a fresh copy of the project, as a clone after ``make setup``."""
    shutil.copytree(PROJECT, place, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (place / ".venv").symlink_to(PROJECT / ".venv")
    packages = place / "node_modules"
    packages.mkdir()
    for package in (PROJECT / "node_modules").iterdir():
        # The compiler refuses sources outside the project, be it by a link.
        if package.name == "@openzeppelin":
            shutil.copytree(package, packages / package.name)
        else:
            (packages / package.name).symlink_to(package)


@dataclass(frozen=True)
class Reading:
    """What a document told its reader to do, and what came of it."""

    parts: list[Block]
    code: int
    said: str


def read(document: Path, place: Path) -> Reading:
    """Do what the document says in a copy of the project; its devnet is down at the end, whatever happens."""
    copy, staged, parts = place / "twinledger", place / "blocks", blocks(document)
    copy_project(copy)
    staged.mkdir()
    # .venv is linked, and knows the project it was made for: the copy comes first. Local state is the copy's own.
    environment = {**os.environ, "PYTHONPATH": str(copy), "TERM": "dumb", "COLUMNS": "200"}
    environment.pop("TWINLEDGER_HOME", None)
    process = subprocess.Popen(
        ["bash", "-c", "\n".join(script(parts, staged))],
        cwd=copy,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=SECONDS)
        return Reading(parts, process.returncode, said)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # the shell, and the script that hangs
        said, _ = process.communicate()
        return Reading(parts, -signal.SIGKILL, said)
    finally:
        subprocess.run(
            [".venv/bin/python", "scripts/devnet.py", "down"],
            cwd=copy,
            env=environment,
            capture_output=True,
            check=False,
        )


@pytest.fixture(scope="module")
def readers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Path, Future[Reading]]]:
    """Some readers at once: each spends most of its time importing torch, on one core."""
    # Only those that were selected with -k or by their ids.
    mine = [item for item in request.session.items if "readers" in getattr(item, "fixturenames", ())]
    documents = [item.callspec.params["document"] for item in mine if isinstance(item, pytest.Function)]
    selected = [document for document in documents if isinstance(document, Path)]
    with ThreadPoolExecutor(READERS) as pool:
        yield {document: pool.submit(read, document, tmp_path_factory.mktemp("reader")) for document in selected}


@pytest.mark.parametrize("document", [d for d in RUNNABLE if runs(d)], ids=name)
def test_every_command_of_the_document_works_and_says_what_is_shown(
    document: Path, readers: dict[Path, Future[Reading]]
) -> None:
    reading = readers[document].result()
    assert reading.code == 0, reading.said
    said = outputs(reading.said)
    for index, block in enumerate(reading.parts):
        if block.kind == "text":
            before = max(number for number in said if number < index)
            line = missing_line(block.body.splitlines(), said[before])
            assert line is None, f"{name(document)} shows {line!r}; got:\n" + "\n".join(said[before])


@pytest.mark.parametrize("document", RUNNABLE, ids=name)
def test_what_is_left_out_only_sets_up_a_machine_or_is_run_by_another_test_and_says_why(document: Path) -> None:
    for block in blocks(document):
        if block.left_out:
            assert len(block.note.removeprefix("not run:").strip()) > 10, "expected a reason"
            runner = re.search(r"tests/[\w./]+\.py", block.note)
            if runner:  # which reads the block from the page
                assert document.stem in (PROJECT / runner[0]).read_text(encoding="utf-8")
                continue
            lines = [line for line in block.body.splitlines() if line.strip()]
            assert all(re.match(r"(make|git clone|cd) ", line) for line in lines), block.body


def anchors(document: Path) -> set[str]:
    """Headings as GitHub spells them in links."""
    text = PROSE.sub("", document.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_path_test_and_make_target_that_is_named_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    prose = PROSE.sub("", text)
    missing = []
    for match in LINK.finditer(prose):
        target = document.parent / match["path"] if match["path"] else document
        if not target.exists():
            missing.append(match["path"])
        elif match["anchor"] and match["anchor"] not in anchors(target):
            missing.append(match[0])
    # CONTRIBUTING.md also rules over files that are still to come; a document's own files come with it.
    if document.name != "CONTRIBUTING.md":
        own = {block.file for block in blocks(document)}
        named = {match["path"] for match in PATH.finditer(prose)} - own
        missing += sorted(path for path in named if not (PROJECT / path).exists())
    tests = "\n".join(file.read_text(encoding="utf-8") for file in (PROJECT / "tests").rglob("test_*.py"))
    missing += sorted(test for test in set(TEST.findall(prose)) if f"def {test}(" not in tests)
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = {match["target"] for match in TARGET.finditer(text)}
    missing += sorted(t for t in targets if not re.search(rf"^{t}:", makefile, re.MULTILINE))
    assert missing == []


def test_the_protocol_names_every_finding_that_an_audit_can_make() -> None:
    sources = "\n".join(file.read_text(encoding="utf-8") for file in (PROJECT / "chain").glob("*.py"))
    made = (
        r'(?:Finding|compare|check_recomputed)\(\s*"([a-z0-9-]+)"'
        r'|\("(\w+)", lambda: model\.require_|check = "(\w+)" if .* else "(\w+)"'
    )
    names = {name for match in re.findall(made, sources) for name in match if name}
    assert {"lineage", "artifact", "format", "tier-2", "schema"} <= names, "expected to find the names in the sources"
    protocol = (PROJECT / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert sorted(name for name in names if f"`{name}`" not in protocol) == []


def test_the_page_of_benchmarks_says_what_was_measured() -> None:
    assert tables.PAGE.read_text(encoding="utf-8") == tables.page()
