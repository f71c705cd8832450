"""Disks of a running stack that can be filled, unmounted and turned read-only."""

import os
import pwd
import shlex
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import mounts
from tests.fetches import OPEN
from tests.production.parts import environ_of
from tests.services import ROOT, Service, await_, running

# In a mount namespace, which is gone with its processes. Commands that come through a pipe are run in there, by a
# shell without a parent of ours, or the stack would end it as an orphan.
MOUNT = """
set -e
mount -t tmpfs -o size=64m,nr_inodes=4k,mode=0777 tmpfs "$1/incoming"
mount -t tmpfs -o size=256m,mode=0700,uid="$2" tmpfs "$1/postgres"
mount -t tmpfs -o size=24m,mode=0777 tmpfs "$1/journal"
mount -t tmpfs -o size=64m,mode=0777 tmpfs "$1/disk"
mkdir -m 0777 "$1/disk/store"
mount --bind "$1/disk/store" "$1/store"
(while read -r line; do eval "$line" && echo done >"$4" || echo failed >"$4"; done <>"$3" &)
shift 4
exec "$@"
"""

# All of a small disk may be used, and a fetch that finds no space fails at once.
TIGHT = {"KEEP_FREE": "0", "KEEP_FREE_FILES": "0", "SPACE_PER_CLIENT": "100", "FETCH_SPACE_SECONDS": "0"}
SOON = {"GRACE_SECONDS": "0", "LEASE_SECONDS": "4", "DATABASE_SECONDS": "2"}


@dataclass(frozen=True)
class Shaky:
    """A stack, and the way to its mounts."""

    service: Service
    told: Path
    answered: Path

    def seen(self, name: str) -> Path:
        """Return one of its folders as it sees it itself."""
        return Path(f"/proc/{self.service.process.pid}/root{self.service.data / name}")

    def files(self, name: str) -> set[Path]:
        """Return the files below a folder, but for those that only keep order."""
        found = {Path(folder) / file for folder, _, files in os.walk(self.seen(name)) for file in files}
        return {path for path in found if not path.name.startswith(".") and ".reserved" not in path.parts}

    def unplaced(self) -> set[Path]:
        """Return the files in the spool, but for those that lie in the store too and will be cleared soon."""
        pending, placed = self.seen("incoming/landing"), self.seen("store")
        stored = {path.relative_to(placed) for path in self.files("store")}
        found = self.files("incoming")
        return {path for path in found if not (pending in path.parents and path.relative_to(pending) in stored)}

    @property
    def settled(self) -> bool:
        """Return whether all uploaded files are where they belong."""
        return not self.unplaced()

    def run(self, command: str) -> None:
        """Run a command where the disks are mounted."""
        self.told.write_text(f"{command}\n")
        assert self.answered.read_text().strip() == "done", command

    def reconcile(self, *options: str) -> str:
        """Return what `manage.py reconcile` says where it sees these mounts, and its exit code."""
        environ = environ_of(self.service, "worker")
        words = [f"{name}={value}" for name, value in environ.items() if name.isupper()]
        command = shlex.join(["env", *words, sys.executable, "manage.py", "reconcile", *options])
        said = self.service.data / "said"
        self.run(f"cd {ROOT} && ({command}; echo $?) >{said} 2>&1 </dev/null")
        return said.read_text()

    def mend(self) -> None:
        """Remove what uploads left behind whose outcome was unknown."""
        await_(self._mended, 60)

    def _mended(self) -> bool:
        if not self.settled:
            self.reconcile("--fix", "--age", "1")  # seconds, so that what is being placed is left alone
        return self.settled

    def end(self) -> None:
        """End the shell that runs commands."""
        with self.told.open("w") as pipe:
            pipe.write("exit\n")

    def filled(self, name: str, *, left: int = 0) -> AbstractContextManager[None]:
        """Leave only a number of bytes free on the disk of a folder for the length of the block."""
        return mounts.filled(self.seen(name), left=left)

    @contextmanager
    def without_names(self, name: str, *, left: int) -> Iterator[None]:
        """Leave inodes for only a number of files on the disk of a folder for the length of the block."""
        folder = self.seen(name)
        with ExitStack() as stack:
            for number in range(os.statvfs(folder).f_favail - left):
                path = folder / f".name-{number}"
                path.touch()
                stack.callback(path.unlink)
            yield

    @contextmanager
    def unmounted(self) -> Iterator[None]:
        """Take the store's disk away for the length of the block: what is left is the empty folder below it."""
        store, disk = self.service.data / "store", self.service.data / "disk/store"
        self.run(f"umount -l {store}")
        try:
            yield
        finally:
            self.run(f"mount --bind {disk} {store}")


@contextmanager
def shaking(folder: Path) -> Iterator[Shaky]:
    """Run the production stack on disks of its own: small ones that can be filled, and a store to be unmounted."""
    data, told, answered = folder / "data", folder / "told", folder / "answered"
    data.mkdir()
    for name in ("incoming", "postgres", "journal", "disk", "store"):
        (data / name).mkdir(mode=0o777)
        (data / name).chmod(0o777)
    for pipe in (told, answered):
        os.mkfifo(pipe)
    owner = os.geteuid() or pwd.getpwnam("www-data").pw_uid
    prefix = mounts.mounting(MOUNT, str(data), str(owner), str(told), str(answered))
    with running("production", data, prefix=prefix, **OPEN, **SOON, **TIGHT) as service:
        shaky = Shaky(service, told, answered)
        try:
            yield shaky
        finally:
            shaky.end()
