"""The use cases of receipts that a request needs: check the URL of an upload that is to be told what became of it."""

from vimeo_api.core.errors import Malformed
from vimeo_api.core.fetching.ssrf import UrlRefused, check_url
from vimeo_api.extensions import settings


def checked(url: str | None) -> str | None:
    """Return the URL that a client names, if it is one that may be called. Raises Malformed.

    Its addresses are looked up and checked at each try, because they may change.
    """
    if url is None:
        return None
    if not settings.notify_urls:
        raise Malformed("This server sends no receipts; leave notify out.")
    try:
        return check_url(url, allow_private=settings.fetch_allow_private).url
    except UrlRefused as error:
        raise Malformed(f"notify cannot be used. {error}") from None
