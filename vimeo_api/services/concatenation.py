"""The use case of tus's concatenation: one upload made of several partial ones. `views.uploads` calls it."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace

from vimeo_api import tasks
from vimeo_api.core import hosts
from vimeo_api.core.access import api_tokens
from vimeo_api.core.database import counters
from vimeo_api.core.database.counters import Counted
from vimeo_api.core.errors import Malformed, NotFound, TooLarge
from vimeo_api.core.files import storing
from vimeo_api.core.policy import Policy
from vimeo_api.core.resumable import checks, expiry, joining, rows
from vimeo_api.core.resumable.rows import NewUpload, Upload
from vimeo_api.extensions import reservations
from vimeo_api.services.resumable import POLL_SECONDS, find, waiting

JOIN_SECONDS = 15.0  # for which a client waits for the file; then it has to ask for it
MAX_REPEATED = 1024**3  # bytes that partial uploads add which are named again: a short request must not fill the disk


def join(policy: Policy, new: NewUpload, keys: Sequence[str]) -> Upload:
    """Begin an upload that is made of complete partial uploads, one after the other, and wait a little until it is.

    Its key follows from theirs. So a client that lost the response and asks again gets the same upload, whatever was
    killed meanwhile. A partial upload may be named more than once. Raises Malformed unless all of them are complete,
    what `check_new` does, and what joining and storing do; then the same request may be tried again.
    """
    new = replace(new, key=_joined_key(keys))
    if rows.find(new.key) is None:
        try:
            _begin_join(policy, new, keys)
        except NotFound:
            if rows.find(new.key) is None:  # else another request has just joined and removed them
                raise
    upload = find(policy, new.key, token_id=new.token_id)
    if upload.joined_keys is not None:
        if (upload.length or 0) <= joining.SMALL and hosts.is_here(upload.host):
            joining.run(upload.key)
        else:
            tasks.enqueue(tasks.join, upload.key, host=hosts.of(upload.host))
        upload = _joined(upload)
    if upload.failure is not None:
        expiry.remove(upload.key)
        joining.check(upload)
    return upload


def _joined_key(keys: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(keys).encode()).hexdigest()[:32]  # as hard to guess as the random keys


def _begin_join(policy: Policy, new: NewUpload, keys: Sequence[str]) -> None:
    rows.remove_expired(new.key)
    sources = [find(policy, key, token_id=new.token_id) for key in keys]
    if not all(source.is_partial and source.is_whole for source in sources):
        raise Malformed("Only partial uploads that are complete can be joined.")
    if len({hosts.of(source.host) for source in sources}) > 1:
        raise Malformed(
            "These partial uploads are on different hosts and cannot be joined: your address has changed, or a host "
            "has come or gone. Begin all of them again. With an API token, your address does not matter."
        )
    size = sum(source.offset for source in sources)
    if size - sum({source.key: source.offset for source in sources}.values()) > MAX_REPEATED:
        raise TooLarge("Partial uploads that are named more than once may add at most 1 GiB.")
    checks.check_size(policy, size)
    api_tokens.check_quota(new.token_id, size)
    storing.check_name(policy, new.name)
    reservations.check_spool_space(size)
    rows.prolong(keys)
    rows.add(replace(new, length=size, joined_keys=json.dumps(keys)), host=sources[0].host)
    counters.add({Counted.UPLOADS_STARTED: 1})


def _joined(upload: Upload) -> Upload:
    """Return an upload once it is joined, or as it is after JOIN_SECONDS, or if too many requests wait already."""
    upload = rows.existing(upload.key)
    if upload.is_joining:
        with waiting() as may_wait:
            deadline = time.monotonic() + JOIN_SECONDS
            while may_wait and upload.is_joining and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
                upload = rows.existing(upload.key)
    return upload
