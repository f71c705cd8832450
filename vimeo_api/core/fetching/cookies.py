"""The cookies of one fetch: some origins set one in a redirect and ask for it in the next request.

`session` keeps them as long as one attempt takes. A cookie goes back to the host that set it, and to no other: without
a list of public suffixes, a parent domain may be another site. So we ignore Domain, which RFC 6265, 5.3, would let name
a parent. Path, Secure and expiry are the library's.
"""

import threading
from collections.abc import Iterable
from email.message import Message
from http.cookiejar import CookieJar
from typing import Any, cast
from urllib.request import Request

from vimeo_api.core.fetching.ssrf import Target


class Cookies:
    """A jar for each host; safe among threads."""

    def __init__(self) -> None:
        """Start without cookies."""
        self._jars: dict[str, CookieJar] = {}
        self._lock = threading.Lock()

    def header(self, target: Target) -> dict[str, str]:
        """Return the header `Cookie` of a request to this target, or nothing."""
        request = Request(target.url)  # noqa: S310 -- only its URL is read, nothing is opened
        self._jar(target).add_cookie_header(request)
        cookie = request.get_header("Cookie")
        return {"Cookie": cookie} if cookie else {}

    def keep(self, target: Target, headers: Iterable[str]) -> None:
        """Keep the cookies of a response, given its Set-Cookie headers."""
        response = _Response(headers)
        self._jar(target).extract_cookies(cast("Any", response), Request(target.url))  # noqa: S310 -- as above

    def _jar(self, target: Target) -> CookieJar:
        with self._lock:
            return self._jars.setdefault(target.host, CookieJar())


class _Response:
    """What a cookie jar reads of a response."""

    def __init__(self, headers: Iterable[str]) -> None:
        self._headers = Message()
        for value in headers:
            self._headers["Set-Cookie"] = value

    def info(self) -> Message:
        return self._headers
