"""A stack whose disks are its own: small ones that can be filled, and a store that can be unmounted."""

import os
import pwd
from collections.abc import Iterator

import pytest

from tests.fetches import OPEN
from tests.mounts import mounting
from tests.outages.disks import Shaky
from tests.services import Service, running

# In a mount namespace, which is gone with its processes. Commands that come through a pipe are run in there, by a
# shell that is nobody's child, or the stack would end it as an orphan.
MOUNT = """
set -e
mount -t tmpfs -o size=64m,nr_inodes=4k,mode=0777 tmpfs "$1/incoming"
mount -t tmpfs -o size=256m,mode=0700,uid="$2" tmpfs "$1/postgres"
mount -t tmpfs -o size=8m,mode=0777 tmpfs "$1/journal"
mount -t tmpfs -o size=64m,mode=0777 tmpfs "$1/disk"
mkdir -m 0777 "$1/disk/store"
mount --bind "$1/disk/store" "$1/store"
(while read -r line; do eval "$line" && echo done >"$4" || echo failed >"$4"; done <>"$3" &)
shift 4
exec "$@"
"""

SOON = {"GRACE_SECONDS": "0", "LEASE_SECONDS": "4", "DATABASE_SECONDS": "2"}


@pytest.fixture(scope="session")
def shaky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shaky]:
    """The production stack on such disks, once for all tests, which leave it as they find it; its budgets are small."""
    folder = tmp_path_factory.mktemp("shaky")
    data, told, answered = folder / "data", folder / "told", folder / "answered"
    data.mkdir()
    for name in ("incoming", "postgres", "journal", "disk", "store"):
        (data / name).mkdir(mode=0o777)
        (data / name).chmod(0o777)
    for pipe in (told, answered):
        os.mkfifo(pipe)
    owner = os.geteuid() or pwd.getpwnam("www-data").pw_uid
    prefix = mounting(MOUNT, str(data), str(owner), str(told), str(answered))
    with running("production", data, prefix=prefix, **OPEN, **SOON, KEEP_FREE="0") as service:
        stand = Shaky(service, told, answered)
        try:
            yield stand
        finally:
            stand.end()


@pytest.fixture
def stack(shaky: Shaky) -> Service:
    """The same, for tests that leave its disks alone."""
    return shaky.service
