"""The digests that a request says its body has. `receive` checks them, and `views.uploads` those of a part.

The representation that an upload encloses is its body, so `Repr-Digest` says the same as `Content-Digest`; only in
`views.uploads`, where a body may be a part, it is about the whole file. An algorithm that we do not know is ignored, as
RFC 9530 says. A digest that we know and cannot read is refused: its client relies on our check.
Sources: RFC 9530, RFC 1864 (Content-MD5).
"""

import base64
import binascii
import hashlib
import re

from flask import request

from vimeo_api.core.errors import Malformed
from vimeo_api.core.resumable import checks
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.web.receiving.bodies import Read

Digests = list[tuple[str, bytes]]  # hashlib's names, and what the digests must be

_MEMBER = re.compile(r"\s*([^\s=;]*)(.*)", re.DOTALL)
_VALUE = re.compile(r"\s*=\s*:([A-Za-z0-9+/=]*):\s*(?:;.*)?", re.DOTALL)
# RFC 9530, section 5, the strongest first. The last two do not protect from an attacker, but from broken bytes.
_NAMES = {"sha-256": "sha256", "sha-512": "sha512", "sha": "sha1", "md5": "md5"}


def named(header: str) -> Digests:
    """Return the digests of `Content-Digest` or `Repr-Digest`. Raises Malformed."""
    found = []
    for member in request.headers.get(header, "").split(","):
        match = _MEMBER.fullmatch(member)
        if match and (algorithm := _NAMES.get(match[1].lower())) is not None:
            value = _VALUE.fullmatch(match[2])
            found.append((algorithm, _decoded(header, value[1] if value else "")))
    return found


def of_content() -> Digests:
    """Return the digests of the bytes of the current request. Raises Malformed."""
    md5 = request.headers.get("Content-MD5")
    return named("Content-Digest") + ([] if md5 is None else [("md5", _decoded("Content-MD5", md5.strip()))])


def of_body() -> Digests:
    """Return the digests of a body that is all of what is uploaded. Raises Malformed."""
    return of_content() + named("Repr-Digest")


def of_whole() -> str | None:
    """Return the digest of the whole file, of which the body may be a part, as rows write it: `sha256:…`.

    Of several the strongest. Raises Malformed.
    """
    found = dict(named("Repr-Digest"))
    best = next((algorithm for algorithm in _NAMES.values() if algorithm in found), None)
    return f"{best}:{found[best].hex()}" if best else None


def check(body: Staging) -> None:
    """Raise DigestMismatch unless a spooled body has the digests that the current request says. Raises Malformed."""
    for algorithm, expected in of_body():
        checks.check_digest(body.digest(algorithm), expected)


def checked(read: Read) -> Read:
    """Return a reader of the current request's body that raises DigestMismatch at its end. Raises Malformed."""
    hashes = [(hashlib.new(algorithm, usedforsecurity=False), expected) for algorithm, expected in of_body()]

    def read_on(size: int) -> bytes:
        data = read(size)
        for digest, expected in hashes:
            digest.update(data)
            if not data:
                checks.check_digest(digest.hexdigest(), expected)
        return data

    return read_on if hashes else read


def _decoded(header: str, value: str) -> bytes:
    try:
        digest = base64.b64decode(value, validate=True)
    except binascii.Error:
        digest = b""
    if not digest:
        example = "" if header == "Content-MD5" else ", as in `sha-256=:…:`"
        raise Malformed(f"{header} must have its digest in base64{example}.")
    return digest
