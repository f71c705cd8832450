"""A disk whose power can be cut: an ext4 image on a loop device, shut down without writing its journal.

Data that was not synced is then lost, as in a power failure. Needs root. Sources: mount(8), losetup(8), and
EXT4_IOC_SHUTDOWN in the kernel's fs/ext4/ioctl.c.
"""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services import await_

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
BYTES = 1024**3


class NoDisk(Exception):
    """This machine cannot have such a disk; the message says why."""


class Disk:
    """The image, and the folder on which it is mounted."""

    def __init__(self, image: Path, folder: Path) -> None:
        """Remember both."""
        self.folder = folder
        self._image = image

    def format(self) -> None:
        """Make a new filesystem. Raises NoDisk."""
        with self._image.open("wb") as file:
            file.truncate(BYTES)
        _call("mkfs.ext4", "-q", str(self._image))

    def mount(self) -> None:
        """Mount it. Raises NoDisk."""
        self.folder.mkdir(exist_ok=True)
        _call("mount", "-o", "loop", str(self._image), str(self.folder))
        self.folder.chmod(0o777)

    def cut(self) -> None:
        """Cut the power: from now on every write fails, and what was not synced is lost."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("<I", NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def unmount(self) -> None:
        """Unmount it as soon as nobody uses it any more."""
        await_(lambda: subprocess.run(["umount", self.folder], capture_output=True, check=False).returncode == 0, 120)


@contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    """Yield a new disk that is not mounted, with its image in a folder. Raises NoDisk."""
    if os.geteuid() != 0:
        raise NoDisk("A power cut needs root, for it mounts a filesystem; `sudo make chaos` shows it.")
    given = Disk(folder / "disk.img", folder / "disk")
    given.format()
    given.mount()  # to see whether we may
    given.unmount()
    try:
        yield given
    finally:
        if given.folder.is_mount():
            given.unmount()


def _call(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NoDisk(f"{command[0]} is not there, so there is no power to be cut.") from None
    if done.returncode:
        raise NoDisk(f"{command[0]} failed, so there is no power to be cut: {done.stderr.strip()}")
