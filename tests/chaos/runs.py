"""The runs: load on the real service, kills or a power cut, a restart, and the audit.

`__main__` and the tests start them.
"""

import os
import random
import signal
import subprocess
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import fleets
from tests.chaos.audit import Audit
from tests.chaos.disk import disk
from tests.chaos.fetches import Fetches
from tests.chaos.fleet import FleetKiller
from tests.chaos.killer import Killer
from tests.chaos.ledger import Ledger
from tests.chaos.load import Named, Role, Store, Streams, Transfer, working
from tests.chaos.onetime import OneTimes
from tests.chaos.queueing import Consumer, Producer
from tests.chaos.resuming import Joining, Resuming
from tests.chaos.wire import Fate
from tests.origin import Origin, serving
from tests.services import Service, await_, killed, other_filesystem, running
from vimeo_api.core.deliveries.losses import BOOT_ID

STOP_SECONDS = 300
LOAD_SECONDS = 300  # far more than a few operations take
# A response that a kill kept nginx from reporting stays charged, so with a small budget nobody could tell a lost file
# from one whose budget is spent.
SETTINGS = {"FETCH_URLS": "1", "FETCH_ALLOW_PRIVATE": "1", "VIMEO_BUDGET": "1000"}


@dataclass
class Outcome:
    """What a run found."""

    name: str
    ledger: Ledger
    seconds: float = 0
    killed: dict[str, int] = field(default_factory=dict)
    audited: str = ""

    @property
    def broken(self) -> list[str]:
        """All promises that were broken."""
        kinds = {"lost": self.ledger.lost, "leaked": self.ledger.leaked, "doubled": self.ledger.doubled}
        return [f"{kind}: {sentence}" for kind, sentences in kinds.items() for sentence in sentences]

    def figures(self) -> str:
        """Return the figures, a few lines."""
        operations = self.ledger.operations
        words = []
        for what in sorted({what for what, _ in operations}):
            unknown, unsent = operations[what, Fate.UNKNOWN], operations[what, Fate.UNSENT]
            words.append(f"{what} {operations[what, Fate.DONE] + operations[what, Fate.REFUSED]}+{unknown}+{unsent}")
        kills = ", ".join(f"{kind} {number}" for kind, number in sorted(self.killed.items()))
        faults: Counter[int] = Counter()
        for (_, status), number in self.ledger.statuses.items():
            faults[status] += number if status >= 500 else 0
        return "\n".join(
            [
                f"{self.name}: {sum(self.killed.values())} kills in {self.seconds:.0f} s, seed {self.ledger.seed}",
                f"  kills: {kills}",
                f"  operations (answered + outcome unknown + not sent): {', '.join(words)}",
                f"  in all {self.ledger.operations.total()} operations; answered "
                + ", ".join(f"{status}: {number}" for status, number in sorted(faults.items()) if number),
                f"  {self.audited}",
                f"  lost {len(self.ledger.lost)}, leaked {len(self.ledger.leaked)}, doubled {len(self.ledger.doubled)}",
                *(f"  {sentence}" for sentence in self.broken[:50]),
            ]
        )


def roles(service: Service, ledger: Ledger, origin: Origin, turn: int = 0, address: str = "127.0.0.1") -> list[Role]:
    """Return the clients of a load, which do something else in each step; the origin is at an address."""
    port, first, second = service.port, 2 * turn, 2 * turn + 1
    kinds = (Streams, Store, Named, Transfer, OneTimes, Producer, Consumer, Resuming, Joining)
    twice = (Streams, OneTimes, Consumer)
    made: list[Role] = [kind(port, ledger, first) for kind in kinds]
    made += [kind(port, ledger, second) for kind in twice]
    return [*made, Fetches(port, ledger, origin, first, address)]


def silent(_words: str) -> None:
    """Say nothing."""


def kill(seed: str, kills: int, *, apart: bool, say: Callable[[str], object] = silent) -> Outcome:
    """Kill parts of a stack under load, restart it, audit, and kill its head, with which all of it ends.

    Spool and store are on different filesystems or on one. Where this process has mounts of its own, disks fill up and
    free up again, too.
    """
    outcome = Outcome("store on another filesystem" if apart else "one filesystem", Ledger(seed))
    begun = time.monotonic()
    with _folders(apart=apart) as (data, settings), _disks(data, apart=apart) as disks, serving() as origin:
        with running("production", data, **settings) as service:
            killer = Killer(service, outcome.ledger, say, disks)
            with working(roles(service, outcome.ledger, origin)):
                killer.run(kills)
            outcome.killed = dict(killer.killed)
            stop(service)
        with running("production", data, **settings) as service:
            audit(service, outcome)
            killed(service)
    outcome.seconds = time.monotonic() - begun
    return outcome


def kill_fleet(seed: str, kills: int, *, say: Callable[[str], object] = silent) -> Outcome:
    """Kill parts and whole hosts of a fleet under load, cut hosts off, freeze the object store; then audit."""
    outcome = Outcome("several hosts", Ledger(seed))
    begun = time.monotonic()
    with serving(address="0.0.0.0") as origin, fleets.running(**SETTINGS) as fleet:
        killer = FleetKiller(fleet, outcome.ledger, say)
        with working(roles(fleet, outcome.ledger, origin, address=f"{fleet.network}.1")):
            killer.run(kills)
        outcome.killed = dict(killer.killed)
        killer.recovered("the last kill", 0)  # the audit asks every host
        audit(fleet, outcome)
    outcome.seconds = time.monotonic() - begun
    return outcome


def cut(seed: str, cuts: int, profile: str) -> Outcome:
    """Cut the power of a service under load, so often; after each time audit it. Raises NoDisk.

    All of the embedded service is on the disk; in production only spool and store are, while PostgreSQL stays up.
    """
    outcome = Outcome(f"power cuts, {profile}", Ledger(seed))
    rng, begun = random.Random(seed), time.monotonic()
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-"))
        given, origin = stack.enter_context(disk(Path(name))), stack.enter_context(serving())
        data, settings = given.folder, SETTINGS
        if profile == "production":
            data = Path(name) / "data"
            settings = SETTINGS | {"SPOOL_DIR": f"{given.folder}/incoming", "STORE_DIR": f"{given.folder}/store"}
        stack.enter_context(_booting(Path(name) / "boot_id"))
        for turn in range(cuts):
            (Path(name) / "boot_id").write_text(f"{uuid.uuid4()}\n")
            given.mount()
            with running(profile, data, **settings) as service:
                enough = outcome.ledger.done + rng.randrange(40, 120)
                with working(roles(service, outcome.ledger, origin, turn)):
                    await_(lambda least=enough: outcome.ledger.done >= least, LOAD_SECONDS)  # type: ignore[misc]
                    given.cut()
                    outcome.killed["power"] = turn + 1
                if profile == "embedded":
                    service.process.kill()
                stop(service)
            given.unmount()
            (Path(name) / "boot_id").write_text(f"{uuid.uuid4()}\n")
            given.mount()
            with running(profile, data, **settings) as service:
                audit(service, outcome)
                stop(service)
            given.unmount()
    outcome.seconds = time.monotonic() - begun
    return outcome


def stop(service: Service) -> None:
    """Stop a service, and wait as long as a busy machine needs."""
    if service.process.poll() is None:
        service.process.send_signal(signal.SIGINT)
    service.process.wait(STOP_SECONDS)


def audit(service: Service, outcome: Outcome) -> None:
    """Audit a service and note the figures."""
    done = Audit(service, outcome.ledger)
    done.run()
    reconciled = ", ".join(f"{number} {kind}" for kind, number in done.reconciled.items()) or "nothing"
    told = f"{done.used_up} used up, {done.in_doubt} in doubt"
    outcome.audited = f"audit: {done.read} files asked for, {told}, reconciled: {reconciled}"


def _has_own_mounts() -> bool:
    """Return whether this process may mount and its parent does not see it, as below `unshare --mount`."""
    own, parent = (Path(f"/proc/{pid}/ns/mnt") for pid in ("self", os.getppid()))
    return os.geteuid() == 0 and own.readlink() != parent.readlink()


@contextmanager
def _disks(data: Path, *, apart: bool) -> Iterator[list[Path]]:
    """Mount small disks for the journal, and for the spool if the store is elsewhere."""
    sizes = {"journal": "24m"} | ({"incoming": "768m"} if apart else {})
    mounted: list[Path] = []
    try:
        for name, size in sizes.items() if _has_own_mounts() else ():
            folder = data / name
            folder.mkdir(parents=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", folder], check=True)
            mounted.append(folder)
        yield mounted
    finally:
        for folder in mounted:
            subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def _booting(boot_id: Path) -> Iterator[None]:
    """Let a file say which boot this is, because a simulated power cut does not reboot the machine."""
    boot_id.touch()
    if not _has_own_mounts():
        yield
        return
    subprocess.run(["mount", "--bind", boot_id, BOOT_ID], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", BOOT_ID], check=True)


@contextmanager
def _folders(*, apart: bool) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield a new data folder, and the settings that go with it."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, other_filesystem() as other:
        yield Path(name) / "data", SETTINGS | ({"STORE_DIR": str(other / "store")} if apart else {})
