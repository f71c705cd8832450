"""Kill parts of a service of several hosts, whole hosts, the network between them and the object store's patience."""

import time
from collections.abc import Callable

from deploy.fleet import HOSTS
from tests import fleets
from tests.chaos.killer import KINDS, Killer, Process, hosts
from tests.chaos.ledger import Ledger
from tests.fleets import Fleet
from tests.object_stores import frozen

HOST, CUT_OFF, FROZEN = "host", "network of a host", "object store, frozen"
FAULT_SECONDS = (1, 6)  # how long a fault of the last two kinds lasts


class FleetKiller(Killer):
    """Kills as `Killer` does, on a random host each time."""

    def __init__(self, fleet: Fleet, ledger: Ledger, say: Callable[[str], object]) -> None:
        """Begin with a full deck of kinds."""
        super().__init__(fleet, ledger, say)
        self._fleet = fleet
        self._host = ""  # of the next kill

    def _place(self) -> str:
        return f" ({self._host})"

    def _parts(self) -> dict[str, list[Process]]:
        found = hosts(self._fleet)
        return {f"{host} {part}": those for host, parts in found.items() for part, those in parts.items()}

    def _is_complete(self) -> bool:
        found = hosts(self._fleet)
        return all(set(parts.split()) <= found.get(host, {}).keys() for host, (_, parts) in HOSTS.items())

    def _kinds(self) -> list[str]:
        return [*KINDS, *KINDS, HOST, HOST, CUT_OFF, CUT_OFF, FROZEN]

    def _choose(self, kind: str) -> list[Process]:
        return KINDS[kind](hosts(self._fleet).get(self._host, {}), self._rng)

    def _kill(self, kind: str) -> bool:
        self._host = self._rng.choice([name for name in HOSTS if name != "services" or kind in KINDS])
        data = self._fleet.folder(self._host)
        if kind == HOST:
            return fleets.kill(data)
        if kind == CUT_OFF:
            with fleets.cut_off(data):
                time.sleep(self._rng.uniform(*FAULT_SECONDS))
            return True
        if kind == FROZEN:
            with frozen(*fleets.object_store(self._fleet.data)):
                time.sleep(self._rng.uniform(*FAULT_SECONDS))
            return True
        return super()._kill(kind)
