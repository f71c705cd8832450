"""What can go wrong with a file, as the core says it; `web.problems` gives each its status.

Services and core raise these, views never do.
"""


class PipelineError(Exception):
    """The base of all errors that a client is told about."""


class Malformed(PipelineError):
    """The request cannot be understood; the message says why."""


class TooLarge(PipelineError):
    """The body or the file is larger than the surface takes."""


class NotThere(PipelineError):
    """No such file was ever known."""


class Gone(PipelineError):
    """The file was there and has been used up or removed."""


class WrongPassword(PipelineError):
    """The file is protected, and the password is missing or wrong."""


class Leased(PipelineError):
    """Somebody else is downloading this one-time file just now."""

    def __init__(self, retry_after: int) -> None:
        """Remember after how many seconds a retry makes sense."""
        super().__init__("being downloaded")
        self.retry_after = retry_after


class StorageFull(PipelineError):
    """The disk has no room for the bytes (ENOSPC, EDQUOT)."""


class Unavailable(PipelineError):
    """A service that this request cannot do without does not answer."""
