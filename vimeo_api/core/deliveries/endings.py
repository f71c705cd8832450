"""Responses of this process sending their last chunk; the client may return before we record the end.

The embedded sender says when a response begins to end and when that is recorded; `services.downloads` waits.
"""

import threading
from collections import Counter

ENDING_SECONDS = 1  # how long a request that meets a lease waits for a download that is about to end

_files: Counter[int] = Counter()
_ended = threading.Condition()


def begin(file_id: int) -> None:
    """Say that the next chunk of a response is its last one."""
    with _ended:
        _files[file_id] += 1


def end(file_id: int) -> None:
    """Say that the end of the response is recorded."""
    with _ended:
        _files[file_id] -= 1
        if not _files[file_id]:
            del _files[file_id]
        _ended.notify_all()


def wait(file_id: int) -> None:
    """Wait for a file's ending responses; give up after ENDING_SECONDS: a last chunk can stall like any other."""
    with _ended:
        _ended.wait_for(lambda: not _files[file_id], timeout=ENDING_SECONDS)
