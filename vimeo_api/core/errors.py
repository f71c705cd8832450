"""What can go wrong with a file, as the core says it; `web.problems` gives each its status.

Services and core raise these, views never do.
"""

from typing import Any


class PipelineError(Exception):
    """The base of all errors that a client is told about."""

    lasting = True  # the same request would be refused the same way until something is changed


class Malformed(PipelineError):
    """The request cannot be understood; the message says why."""


class Conflict(PipelineError):
    """The file is not in the state that the request assumes."""

    lasting = False


class TooLarge(PipelineError):
    """The body or the file is larger than the surface takes."""


class NotThere(PipelineError):
    """No such file is known."""


class Nothing(NotThere):
    """There is no such file just now, though the very same question may find one in a moment."""

    lasting = False


class Exists(PipelineError):
    """The surface has a file of that key already."""

    lasting = False


class Gone(PipelineError):
    """The file was there and has been used up or removed."""


class WrongPassword(PipelineError):
    """The file is protected, and the password is missing or wrong."""

    def __init__(self, *, lasting: bool = True) -> None:
        """Note whether the file may be used up any moment, which would be the stronger reason."""
        super().__init__("The password is missing or wrong.")
        self.lasting = lasting


class TokenNeeded(PipelineError):
    """No API token was shown where one is needed, or one that is unknown, revoked or expired."""

    lasting = False

    def __init__(self, sentence: str, *, shown: bool) -> None:
        """Note whether a token was shown at all."""
        super().__init__(sentence)
        self.shown = shown


class NotAllowed(PipelineError):
    """The API token does not allow this; `scope` would."""

    lasting = False

    def __init__(self, scope: str) -> None:
        """Name the scope that is missing."""
        super().__init__(f"This API token does not allow {scope}.")
        self.scope = scope


class QuotaExceeded(PipelineError):
    """The bytes do not fit into the quota of the API token."""

    lasting = False


class TooMany(PipelineError):
    """The client has done this too often."""

    lasting = False

    def __init__(self, sentence: str, retry_after: int) -> None:
        """Remember after how many seconds a retry makes sense."""
        super().__init__(sentence)
        self.retry_after = retry_after


class Leased(PipelineError):
    """Somebody else is downloading this one-time file just now."""

    lasting = False

    def __init__(self, retry_after: int) -> None:
        """Remember after how many seconds a retry makes sense."""
        super().__init__("Somebody is downloading this file.")
        self.retry_after = retry_after


class StillFetching(PipelineError):
    """The file is being fetched; `progress` says how far it is."""

    lasting = False

    def __init__(self, progress: dict[str, Any]) -> None:
        """Keep the progress, as JSON has it."""
        super().__init__("The file is still being fetched.")
        self.progress = progress


class FetchFailed(PipelineError):
    """The fetch of the file failed; `failure` is its `models.Failure`, the message its sentence."""

    def __init__(self, failure: str, sentence: str) -> None:
        """Keep the kind and the sentence."""
        super().__init__(sentence)
        self.failure = failure


class DigestMismatch(PipelineError):
    """The bytes are not those that the request expects."""


class Unavailable(PipelineError):
    """Something that the service stands on is away just now; the message says what, to us and not to the client."""

    lasting = False


class StorageFull(PipelineError):
    """The disk has no room for the bytes (ENOSPC, EDQUOT)."""
