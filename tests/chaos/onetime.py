"""One-time files under chaos: several clients want each file at once; some hang up in the middle, some of these resume.

The rules (docs/decisions/0005): a file is used up once nginx's journal says that all of it was sent under one resume
token. From then on only a client with that token gets it. Until then the next client can have it: a download that was
cut, or that nginx could not log because it was killed, uses nothing up. While a client downloads within its lease, no
other client gets a byte.
"""

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from tests.chaos.ledger import Attempt, OneTime, attempt
from tests.chaos.load import KIB, MIB, Role
from tests.chaos.wire import Fate, Reply, ask, form

SIZES = (200, 20 * KIB, 200 * KIB, 2 * MIB, 4 * MIB, 4 * MIB)
SLOW = 0.3  # seconds that some readers linger, so that others meet their lease
UNREAD = MIB  # bytes; more than all buffers on the way hold, so what is cut so long before the end cannot count as sent
RIVALS = 3


class OneTimes(Role):
    """Uploads one-time files and has rivals download each."""

    name = "once"

    def run(self, stopped: threading.Event) -> None:
        """Do one file after the other."""
        with ThreadPoolExecutor(RIVALS) as self._rivals:
            super().run(stopped)

    def step(self) -> Fate:
        """Upload a file, and let the rivals compete for it."""
        content, data = self.ledger.content(self.rng, SIZES)
        password = "opén sesame" if self.rng.random() < 0.3 else None
        body, headers = form("report.xls", data, **({"password": password} if password else {}))
        reply = ask(self.port, "PUT", "/vimeo/api/v1.0/file", body, headers)
        fate = self.ledger.count("upload once", reply)
        if fate is not Fate.DONE:
            if fate is Fate.REFUSED:
                self.ledger.lose(f"once: an upload was answered {reply.status}")
            return fate
        file = OneTime(urlsplit(json.loads(reply.body)["url"]).path, content, password)
        self.ledger.once.append(file)
        self.ledger.answered.add(content.digest)
        if self.rng.random() < 0.15:
            return fate  # nobody requests it, so it must be there in the end
        rngs = [random.Random(self.rng.random()) for _ in range(self.rng.randint(1, RIVALS))]
        for done in [self._rivals.submit(self._download, file, data, rng) for rng in rngs]:
            done.result()
        return fate

    def _download(self, file: OneTime, data: bytes, rng: random.Random) -> None:
        """Download as a client would: to the end or not, and perhaps resume."""
        stop_after = None
        if len(data) > UNREAD and rng.random() < 0.6:
            stop_after = rng.randrange(1, len(data) - UNREAD)
        if file.password is not None and rng.random() < 0.3:
            self._without_password(file)
        linger = SLOW if rng.random() < 0.5 else 0
        last = self.download(file, data, stop_after=stop_after, linger=linger)
        for _ in range(3):
            if last is None or last.start + last.received == len(data) or rng.random() < 0.3:
                return
            start = last.start + last.received if rng.random() < 0.5 else 0
            last = self.download(file, data, resume_token=last.resume_token, start=start)

    def download(
        self,
        file: OneTime,
        data: bytes,
        *,
        resume_token: str | None = None,
        start: int = 0,
        stop_after: int | None = None,
        linger: float = 0,
    ) -> Attempt | None:
        """Request a file, and record what came; None if nothing did."""
        headers = password_header(file)
        if resume_token is not None:
            headers["X-Download-Grant"] = resume_token
        if start:
            headers["Range"] = f"bytes={start}-"
        reply = ask(self.port, "GET", file.path, headers=headers, stop_after=stop_after, linger=linger)
        cut = stop_after is not None and reply.status == 200
        self.ledger.count("cut download" if cut else "resume" if resume_token else "download", reply)
        return self._noted(file, data, reply, start)

    def _noted(self, file: OneTime, data: bytes, reply: Reply, start: int) -> Attempt | None:
        if reply.status == 410:
            file.told_gone = True
        if reply.status in (200, 206):
            noted = attempt(reply, start=start)
            if reply.body != data[noted.start : noted.start + noted.received]:
                self.ledger.lose(f"once {file.path}: other bytes than were sent")
            file.attempts.append(noted)
            return noted
        if reply.status in (401, 404) or (reply.fate is Fate.REFUSED and reply.status not in (410, 423)):
            self.ledger.lose(f"once {file.path}: answered {reply.status} although it is there")
        return None

    def _without_password(self, file: OneTime) -> None:
        reply = ask(self.port, "GET", file.path)
        self.ledger.count("download without password", reply)
        if reply.status not in (401, 410, 423) and reply.fate in (Fate.DONE, Fate.REFUSED):
            self.ledger.lose(f"once {file.path}: answered {reply.status} without its password")


def password_header(file: OneTime) -> dict[str, str]:
    """Return the header that opens a file."""
    # http.client sends headers as Latin-1, the service reads them as UTF-8.
    return {"X-File-Password": file.password.encode().decode("latin-1")} if file.password is not None else {}
