"""API tokens: what each allows on which surface, and how many bytes may be stored with it.

A token is 256 random bits, shown once and stored as its SHA-256. Passwords need a slow, salted hash because they can be
guessed; 256 random bits cannot, and a plain digest is found by index in one read. `manage.py token` creates, changes
and revokes tokens; none is deleted, so files never point to nothing. `web.hooks.auth` checks them. Source: RFC 6750.
"""

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, case, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute

from vimeo_api import logs
from vimeo_api.core.clock import now
from vimeo_api.core.database import shared_locks, statements
from vimeo_api.core.database.models import File, Token
from vimeo_api.core.errors import Exists, Malformed, NotFound, QuotaExceeded
from vimeo_api.core.policy import POLICIES

VERBS = ("write", "list", "take", "delete")
TOKEN_PREFIX = "va_"  # noqa: S105 -- makes a leaked token recognizable
LEAST_CHARGE = 4096  # bytes that a file counts for at least, because its row and its block on disk are not free
MAX_NAME = 64  # characters


@dataclass(frozen=True, slots=True)
class Holder:
    """What a valid token allows."""

    id: int
    name: str
    scopes: frozenset[str]
    quota: int | None  # bytes

    def allows(self, surface: str, verb: str) -> bool:
        """Return whether one of the scopes covers this."""
        return not self.scopes.isdisjoint({f"{surface}:{verb}", f"{surface}:*", f"*:{verb}", "*:*"})


@dataclass(frozen=True, slots=True)
class Listed:
    """A token as the operator sees it, without its secret, which is not stored."""

    id: int
    name: str
    scopes: str
    quota: int | None  # bytes
    used: int  # bytes
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    @property
    def state(self) -> str:
        """`valid`, `revoked` or `expired`."""
        return state(self.revoked_at, self.expires_at)


def state(revoked_at: datetime | None, expires_at: datetime | None) -> str:
    """Return `valid`, `revoked` or `expired`."""
    if revoked_at is not None:
        return "revoked"
    return "expired" if expires_at is not None and expires_at <= now() else "valid"


def create(name: str, scopes: Sequence[str], *, quota: int | None = None, life: timedelta | None = None) -> str:
    """Create a token and return it; it cannot be shown again. Raises Malformed for a bad name or scope, and Exists."""
    _check_name(name)
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    values = {
        "name": name,
        "digest": _digest(secret),
        "scopes": " ".join(_checked(scopes)),
        "quota": quota,
        "created_at": now(),
        "expires_at": None if life is None else now() + life,
    }
    if not statements.execute(statements.insert_new(Token).values(values)):
        raise Exists(f"There is already a token {name!r}; it may be revoked or expired.")
    logs.note("token created", name=name, scopes=values["scopes"], quota=quota)
    return secret


def revoke(name: str) -> None:
    """Revoke a token from the next request on; files stored with it stay. Raises NotFound."""
    if not statements.execute(
        update(Token).where(Token.name == name, Token.revoked_at.is_(None)).values(revoked_at=now())
    ):
        raise NotFound(f"There is no token {name!r} that could be revoked.")
    logs.note("token revoked", name=name)


def listing() -> list[Listed]:
    """Return all tokens ever created, the oldest first."""
    return [Listed(*row) for row in statements.rows(select(*_listed()).order_by(Token.id))]


def named(name: str) -> Listed:
    """Return the token with a name. Raises NotFound."""
    row = statements.row(select(*_listed()).where(Token.name == name))
    if row is None:
        raise NotFound(f"There is no token {name!r}.")
    return Listed(*row)


def names() -> dict[int, str]:
    """Return the names of all tokens, by id."""
    return {row.id: row.name for row in statements.rows(select(Token.id, Token.name))}


def usage(token_id: int) -> dict[str, tuple[int, int]]:
    """Return how many files and bytes a token has stored on each surface where it has stored any."""
    sums = (func.count(), func.sum(File.size).cast(BigInteger))
    found = statements.rows(select(File.surface, *sums).where(File.token_id == token_id).group_by(File.surface))
    return {surface: (files, size) for surface, files, size in sorted(tuple(row) for row in found)}


def rename(name: str, new: str) -> None:
    """Rename a token; its secret stays the same. Raises NotFound, Malformed and Exists."""
    _check_name(new)
    token_id = named(name).id
    if new in names().values():
        raise Exists(f"There is already a token {new!r}.")
    statements.execute(update(Token).where(Token.id == token_id).values(name=new))
    logs.note("token renamed", name=name, new=new)


def set_quota(name: str, quota: int | None) -> None:
    """Change how many bytes may be stored with a token, None for no limit; what is stored stays. Raises NotFound."""
    if not statements.execute(update(Token).where(Token.name == name).values(quota=quota)):
        raise NotFound(f"There is no token {name!r}.")
    logs.note("token quota", name=name, quota=quota)


def holder(secret: str) -> Holder | None:
    """Return what a token allows, or None if it is unknown, revoked or expired."""
    valid = (Token.revoked_at.is_(None), or_(Token.expires_at.is_(None), Token.expires_at > now()))
    columns = (Token.id, Token.name, Token.scopes, Token.quota)
    row = statements.row(select(*columns).where(Token.digest == _digest(secret), *valid))
    return Holder(row.id, row.name, frozenset(row.scopes.split()), row.quota) if row else None


def left(token_id: int | None) -> int | None:
    """Return how many more bytes may be stored with a token; None means no limit, as for a request without a token."""
    if token_id is None:
        return None
    row = statements.row(select(Token.quota, _used()).where(Token.id == token_id, Token.quota.is_not(None)))
    return None if row is None else int(row[0]) - int(row[1])


def check_quota(token_id: int | None, *sizes: int, counted: int = 0) -> None:
    """Raise QuotaExceeded unless files of these sizes may be stored with a token; `counted` bytes of them already are.

    Each counts for at least LEAST_CHARGE bytes.
    """
    room = left(token_id)
    if room is not None and sum(max(size, LEAST_CHARGE) for size in sizes) > room + counted:
        raise QuotaExceeded(f"The quota of this token has {max(0, room)} bytes left.")


@contextmanager
def charged(token_id: int | None, *sizes: int, counted: int = 0) -> Iterator[None]:
    """Check a token's quota and lock it while the rows of files of these sizes are added. Raises QuotaExceeded.

    Without the lock, uploads that end at the same moment would each see the same free quota.
    """
    if left(token_id) is None:
        yield
        return
    with shared_locks.held(f"token-{token_id}"):
        check_quota(token_id, *sizes, counted=counted)
        yield


def charge() -> ColumnElement[int]:
    """Return how many bytes a file counts for."""
    return case((File.size < LEAST_CHARGE, LEAST_CHARGE), else_=File.size)


def _listed() -> tuple[ColumnElement[Any] | InstrumentedAttribute[Any], ...]:
    """Return the columns of a `Listed`."""
    states = (Token.created_at, Token.expires_at, Token.revoked_at)
    return (Token.id, Token.name, Token.scopes, Token.quota, _used(), *states)


def _check_name(name: str) -> None:
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise Malformed(f"The name of a token must be 1 to {MAX_NAME} printable characters.")


def _used() -> ColumnElement[int]:
    """Return how many bytes a token's files have, by an index-only scan; a purge removes them from the index."""
    used = select(func.coalesce(func.sum(charge()), 0).cast(BigInteger)).where(File.token_id == Token.id)
    return used.correlate(Token).scalar_subquery()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _checked(scopes: Sequence[str]) -> list[str]:
    surfaces = {policy.surface for policy in POLICIES} | {"*"}
    for scope in scopes:
        surface, _, verb = scope.partition(":")
        if surface not in surfaces or verb not in {*VERBS, "*"}:
            words = f"one of {', '.join(sorted(surfaces))}, a colon, and one of {', '.join(VERBS)}, *"
            raise Malformed(f"{scope!r} is not a scope: {words}.")
    if not scopes:
        raise Malformed("A token without a scope allows nothing.")
    return sorted(set(scopes))
