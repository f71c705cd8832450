"""The errors of the core; services and core raise them, views never do. `web.problems` maps each to an HTTP status."""

from typing import Any


class PipelineError(Exception):
    """The base of all errors that a client sees."""

    lasting = True  # may be cached: the same request fails in the same way until something changes


class Malformed(PipelineError):
    """The request is malformed; the message says why."""


class Inconsistent(Malformed):
    """The request gives two different lengths for an upload, or another one than before."""


class Conflict(PipelineError):
    """The file is not in the state that the request assumes."""

    lasting = False


class WrongOffset(Conflict):
    """The upload has more or fewer bytes than the request assumes."""

    def __init__(self, offset: int) -> None:
        """Note the next byte."""
        super().__init__(f"The next byte of this upload is {offset}.")
        self.offset = offset


class TooLarge(PipelineError):
    """The body or the file is larger than the surface allows."""


class NotFound(PipelineError):
    """There is no such file."""


class BytesLost(NotFound):
    """An upload has fewer bytes than its client was promised; it cannot be resumed."""

    def __init__(self) -> None:
        """Tell the client to begin anew."""
        super().__init__("Bytes of this upload are lost; it has to begin anew.")


class NotFoundYet(NotFound):
    """There is no such file now, but the same request may find one in a moment."""

    lasting = False


class Exists(PipelineError):
    """The surface already has a file with this key."""

    lasting = False


class Gone(PipelineError):
    """The file existed and has been used up or removed."""


class BudgetSpent(Gone):
    """The requested bytes were sent as often as VIMEO_BUDGET allows; others may still be available."""

    lasting = False


class WrongPassword(PipelineError):
    """The file is protected, and the password is missing or wrong."""

    def __init__(self, *, lasting: bool = True) -> None:
        """Note whether the refusal may be cached; not if the file may be used up at any moment."""
        super().__init__("The password is missing or wrong.")
        self.lasting = lasting


class TokenNeeded(PipelineError):
    """The API token is missing, unknown, revoked or expired."""

    lasting = False

    def __init__(self, sentence: str, *, shown: bool) -> None:
        """Note whether the request had a token."""
        super().__init__(sentence)
        self.shown = shown


class NotAllowed(PipelineError):
    """The API token does not have the scope for this."""

    lasting = False

    def __init__(self, scope: str) -> None:
        """Name the missing scope."""
        super().__init__(f"This API token does not allow {scope}.")
        self.scope = scope


class TurnedOff(PipelineError):
    """The operator has turned this off; the message says what."""

    lasting = False


class QuotaExceeded(PipelineError):
    """The bytes do not fit into the quota of the API token."""

    lasting = False


class TooMany(PipelineError):
    """The client has done this too often."""

    lasting = False

    def __init__(self, sentence: str, retry_after: int) -> None:
        """Note how many seconds to wait before a retry."""
        super().__init__(sentence)
        self.retry_after = retry_after


class Locked(PipelineError):
    """Another client is downloading this one-time file."""

    lasting = False

    def __init__(self, retry_after: int) -> None:
        """Note how many seconds to wait before a retry."""
        super().__init__("Somebody is downloading this file.")
        self.retry_after = retry_after


class InDoubt(PipelineError):
    """Nobody knows whether this one-time file was downloaded; its owner has to decide."""

    lasting = False

    def __init__(self) -> None:
        """Say that the owner has to decide."""
        super().__init__("Nobody knows whether this file was downloaded before a failure. Its owner has to decide.")


class Writing(Locked):
    """Another request is still sending bytes of this upload."""

    def __init__(self, retry_after: int) -> None:
        """Note how many seconds to wait before a retry."""
        PipelineError.__init__(self, "Another request is still sending bytes of this upload.")
        self.retry_after = retry_after


class Final(PipelineError):
    """The upload takes no bytes of its own: it is joined from others."""


class StillFetching(PipelineError):
    """The file is still being fetched; `progress` has the details."""

    lasting = False

    def __init__(self, progress: dict[str, Any]) -> None:
        """Keep the progress, ready for JSON."""
        super().__init__("The file is still being fetched.")
        self.progress = progress


class FetchFailed(PipelineError):
    """The fetch of the file failed; `failure` is a `models.Failure`, the message is for the client."""

    def __init__(self, failure: str, sentence: str) -> None:
        """Keep the kind of failure."""
        super().__init__(sentence)
        self.failure = failure


class DigestMismatch(PipelineError):
    """The bytes do not have the expected digest."""


class Unavailable(PipelineError):
    """Something that the service depends on is down; the message says what, for the log and not for the client."""

    lasting = False


class Damaged(Unavailable):
    """The bytes of a file are not as many as were stored. To a client, the file is away: an operator can restore it."""


class Elsewhere(Unavailable):
    """Only another host has what the request needs; nginx can ask it."""

    def __init__(self, address: str) -> None:
        """Keep where its nginx listens for us."""
        super().__init__(f"Only the host at {address} has this.")
        self.address = address


class StorageFull(PipelineError):
    """The disk has no room for the bytes (ENOSPC, EDQUOT)."""
