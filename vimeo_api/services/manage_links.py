"""The use cases of manage URLs: their holder, who uploaded a file, sees what became of it, and decides about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vimeo_api.core.access import manage_keys
from vimeo_api.core.database.models import Status
from vimeo_api.core.database.statements import AnyRow
from vimeo_api.core.deliveries import attempts
from vimeo_api.core.errors import Conflict, Gone, NotFound
from vimeo_api.core.files import catalog, leases, slot_leases
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.files.slots import Hold
from vimeo_api.core.policy import BY_SURFACE
from vimeo_api.core.receipts import outbox
from vimeo_api.services import downloads, files


class State(StrEnum):
    """What has become of a file, in its uploader's words."""

    WAITING = "waiting"
    DOWNLOADING = "downloading"
    IN_DOUBT = "in doubt"  # it may have been downloaded; the uploader decides
    DOWNLOADED = "downloaded"
    REMOVED = "removed"
    EXPIRED = "expired"
    FETCHING = "fetching"
    FAILED = "failed"  # its fetch


_STATES = {
    Status.AVAILABLE: State.WAITING,
    Status.LEASED: State.DOWNLOADING,
    Status.IN_DOUBT: State.IN_DOUBT,
    Status.FETCHING: State.FETCHING,
    Status.FAILED: State.FAILED,
}
OVER = frozenset({State.DOWNLOADED, State.REMOVED, State.EXPIRED})


@dataclass(frozen=True, slots=True)
class Managed:
    """A file as its uploader sees it; `attempts` and `receipts` are those of a one-time file, the first one first."""

    entry: Entry
    one_time: bool
    attempts: Sequence[AnyRow]
    receipts: Sequence[AnyRow]

    @property
    def state(self) -> State:
        """What has become of the file."""
        if self.entry.status != Status.GONE:
            doubtful = self.entry.status == Status.AVAILABLE and self.doubtful
            status = Status.IN_DOUBT if doubtful else Status(self.entry.status)
            return State.EXPIRED if self.entry.expired else _STATES[status]
        if self.entry.delivered_at is not None:
            return State.DOWNLOADED
        return State.REMOVED if self.entry.removed_at is not None else State.EXPIRED

    @property
    def downloads_left(self) -> int:
        """How many more times the file can be downloaded; those that run are not over yet."""
        return downloads.left(self.entry)

    @property
    def doubtful(self) -> int:
        """How many downloads of a file for several are in doubt."""
        return slot_leases.of(self.entry).count(Hold.IN_DOUBT)

    @property
    def expires_at(self) -> datetime | None:
        """When the file expires or has expired."""
        return self.entry.expires_at or self.entry.expired_at


def find(key: str) -> Managed:
    """Return the file with this key of a manage URL. Raises NotFound."""
    entry = _found(key)
    policy = BY_SURFACE[entry.surface]
    if downloads.may_have_moved(policy, entry):
        entry = _found(key)
    if not policy.one_time:
        return Managed(entry, one_time=False, attempts=[], receipts=[])
    return Managed(entry, one_time=True, attempts=attempts.at(entry.id), receipts=outbox.of_file(entry.id))


def remove(key: str) -> None:
    """Remove the file at once; a download that runs may finish. Raises NotFound, and Gone if it is gone already."""
    file = find(key)
    if file.state in OVER:
        raise Gone(f"The file is gone already: it was {file.state}.".replace("was expired", "has expired"))
    if not files.remove_entries(file.entry):
        raise Gone("The file is gone already.")


def release(key: str) -> None:
    """Let a file in doubt be downloaded, perhaps a second time. Raises NotFound, and Conflict if it is not in doubt."""
    if not leases.release(find(key).entry.id):
        raise Conflict("The file is not in doubt.")


def _found(key: str) -> Entry:
    entry = catalog.managed(manage_keys.digest(key))
    if entry is None:
        raise NotFound("There is no file with this manage URL.")
    return entry
