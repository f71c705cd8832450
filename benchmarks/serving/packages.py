"""The peers that pip and npm bring, in a folder that git ignores, in the versions that the files in `etc` pin."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ETC = Path(__file__).parent / "etc"
PEERS = Path(__file__).parent.parent / ".peers"


class PackageError(Exception):
    """Packages cannot be installed; the message says which and why."""


def python() -> Path:
    """Return the folder of the programs that pip has installed. Raises PackageError."""
    folder, wanted = PEERS / "python", ETC / "requirements.txt"
    if not _done(folder, wanted):
        _call(sys.executable, "-m", "venv", "--clear", folder)
        _call(folder / "bin/pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", wanted)
        _finish(folder, wanted)
    return folder / "bin"


def node() -> Path:
    """Return the folder with the `node_modules` that npm has installed. Raises PackageError."""
    folder, wanted = PEERS / "node", ETC / "package-lock.json"
    if not _done(folder, wanted):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(ETC / name, folder)
        _call("npm", "ci", "--omit=optional", "--no-audit", "--no-fund", "--silent", cwd=folder)
        _finish(folder, wanted)
    return folder


def _digest(wanted: Path) -> str:
    return hashlib.sha256(wanted.read_bytes()).hexdigest()


def _done(folder: Path, wanted: Path) -> bool:
    mark = folder / "installed"
    return mark.exists() and mark.read_text() == _digest(wanted)


def _finish(folder: Path, wanted: Path) -> None:
    (folder / "installed").write_text(_digest(wanted))


def _call(*command: str | Path, cwd: Path | None = None) -> None:
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise PackageError(f"{command[0]} is not installed") from None
    except subprocess.CalledProcessError as error:
        raise PackageError(f"{Path(command[0]).name} failed: {(error.stderr or error.stdout).strip()}") from error
