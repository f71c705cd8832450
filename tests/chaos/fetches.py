"""URL uploads under chaos, from an origin that sends what it is asked for, sometimes slowly."""

import json
import random

from tests.chaos.ledger import Item, Ledger, State
from tests.chaos.load import KIB, LIVE, MIB, Role, sealed
from tests.chaos.wire import Fate, ask
from tests.origin import Origin, Page


class Fetches(Role):
    """Requests fetches, waits for some, cancels others."""

    name = "fetches"

    def __init__(self, port: int, ledger: Ledger, origin: Origin, number: int = 0, address: str = "127.0.0.1") -> None:
        """Serve a few pages, some of them slowly, at an address that fetchers can reach."""
        super().__init__(port, ledger, number)
        self._origin = origin
        self._pages: list[tuple[str, str]] = []
        for page, throttle in enumerate((None, None, MIB, 512 * KIB, 256 * KIB)):
            data = random.Random(f"{ledger.seed}/page/{number}/{page}").randbytes((page + 1) * 400 * KIB)
            path = f"/{number}/{page}"
            origin.serve(path, Page(content=data, throttle=throttle))
            self._pages.append((origin.url(path, host=address), ledger.know(data)))

    def step(self) -> Fate:
        """Begin a fetch, or check one."""
        if not self.mine or (len(self.mine) < LIVE and self.rng.random() < 0.2):
            return self._begin()
        item = self.rng.choice(self.mine)
        if item.state is State.COMING and self.rng.random() < 0.1:
            return self._cancel(item)
        if len(self.mine) > LIVE / 2:
            self.mine.remove(item)
        return self.read(item)

    def _begin(self) -> Fate:
        url, digest = self.rng.choice(self._pages)
        headers = {"Content-Type": "application/json"}
        if self.rng.random() < 0.7:
            headers["Prefer"] = "respond-async"
        with self._origin.lock:
            self._origin.requests.clear()  # nobody counts them, and they would never end
        reply = ask(self.port, "POST", "/uploadFile", json.dumps({"file": url}).encode(), headers)
        fate = self.ledger.count("fetch", reply)
        path = sealed(reply)
        if fate is Fate.DONE and path is not None:
            self.keep(Item("fetched", path, digest, State.COMING if reply.status == 202 else State.THERE))
        return fate

    def _cancel(self, item: Item) -> Fate:
        file_id = item.path.partition("file_id=")[2]
        reply = ask(self.port, "DELETE", f"/uploadFile/{file_id}")
        fate = self.ledger.count("cancel", reply)
        if fate is Fate.DONE and json.loads(reply.body)["state"] == "failed":
            item.end(reply.ended_at)
        elif fate is Fate.DONE:
            item.state = State.THERE
        elif fate is Fate.UNKNOWN:
            item.doubt()
        return fate
