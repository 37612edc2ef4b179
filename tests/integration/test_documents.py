"""Every command in the documents is run, in order, as a reader would; every link and path leads somewhere."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

PROJECT = Path(__file__).parents[2]
DOCUMENTS = (
    *(PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((PROJECT / "docs").rglob("*.md")),
)
BLOCK = re.compile(r"(?P<note><!--[^>]*-->\n)?```sh\n(?P<code>.*?)```", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:)(?P<target>[^)#]+)(?:#[^)]*)?\)")
FILE = re.compile(r"`(?P<path>(?:tests|docs|twins|fl|chain|contracts|scripts|benchmarks)/[\w./-]+)`")

COMMANDED = [document for document in DOCUMENTS if BLOCK.search(document.read_text(encoding="utf-8"))]


def name(document: Path) -> str:
    return str(document.relative_to(PROJECT))


@pytest.mark.parametrize("document", [d for d in COMMANDED if d.name != "CONTRIBUTING.md"], ids=name)
def test_every_command_of_the_document_works(document: Path, tmp_path: Path) -> None:
    blocks = []
    for match in BLOCK.finditer(document.read_text(encoding="utf-8")):
        if "run: no" not in (match["note"] or ""):
            blocks.append(match["code"])
    assert blocks
    environment = {**os.environ, "TWINLEDGER_HOME": str(tmp_path / "home")}
    script = "set -euo pipefail\n" + "\n".join(blocks)
    try:
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        subprocess.run(
            [".venv/bin/python", "scripts/devnet.py", "down"],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            check=False,
        )


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_and_path_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    missing = [m["target"] for m in LINK.finditer(text) if not (document.parent / m["target"]).exists()]
    # CONTRIBUTING.md also rules over files that are still to come.
    if document.name != "CONTRIBUTING.md":
        missing += [m["path"] for m in FILE.finditer(text) if not (PROJECT / m["path"]).exists()]
    assert missing == []
