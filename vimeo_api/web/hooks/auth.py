"""API tokens: which scope a view needs, and whether the request's token has it; checked before the body is read.

A view states its verb with `needs` (`api_tokens.VERBS`). A view without one is a link, open to anyone who has it.
Tokens are checked only if REQUIRE_TOKENS is set. For large uploads nginx asks before the first byte (`admission`).
A browser prompts for the token as a Basic password and then adds it by itself, so `csrf` does not trust Basic.
Sources: RFC 6750 (Bearer), RFC 7617 (Basic), RFC 9110 section 11.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote

from flask import Request, current_app, g, request
from werkzeug.datastructures import Authorization
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from vimeo_api.config.settings import MULTIPART_OVERHEAD
from vimeo_api.core.access import api_tokens
from vimeo_api.core.access.api_tokens import Holder
from vimeo_api.core.errors import NotAllowed, PipelineError, TokenNeeded, TurnedOff
from vimeo_api.extensions import settings
from vimeo_api.web.pipeline import Pipeline
from vimeo_api.web.receiving import bodies

View = TypeVar("View", bound=Callable[..., Any])

_verbs: dict[Callable[..., Any], str] = {}
_continuing: set[Callable[..., Any]] = set()


def needs(verb: str, *, again: bool = False) -> Callable[[View], View]:
    """State the verb of a view; a token needs the scope for it. `again`: it continues what was counted before."""

    def note(view: View) -> View:
        _verbs[view] = verb
        if again:
            _continuing.add(view)
        return view

    return note


def verb_of(view: Callable[..., Any] | None) -> str | None:
    """Return the verb of a view, None for a link."""
    return None if view is None else _verbs.get(view)


def is_upload(view: Callable[..., Any]) -> bool:
    """Return whether a view begins an upload, which the rate limits count."""
    return verb_of(view) == "write" and view not in _continuing


def token_id() -> int | None:
    """Return the id of the token that the current request was admitted with, None if none is required."""
    holder: Holder | None = g.get("holder")
    return holder.id if holder else None


def may_delete(surface: str, *, openly: bool) -> bool:
    """Return whether the current request may delete files of a surface; `openly` is for a service without tokens."""
    if not settings.require_tokens:
        return openly
    holder: Holder | None = g.get("holder")
    return holder is not None and holder.allows(surface, "delete")


def check_open_delete(*, openly: bool) -> None:
    """Raise TurnedOff if a request without a token may not delete. Where tokens are required, `needs` has checked."""
    if not (settings.require_tokens or openly):
        raise TurnedOff("Deleting is turned off; the operator of this service can delete files.")


def bearer(authorization: str | None = None) -> str | None:
    """Return the Bearer token in an `Authorization` header, by default the request's; None for other schemes."""
    words = request.headers.get("Authorization", "") if authorization is None else authorization
    kind, _, secret = words.strip().partition(" ")
    return secret.strip() or None if kind.lower() == "bearer" else None


def shown(authorization: str) -> str | None:
    """Return the token in an `Authorization` header, sent as Bearer or as the Basic password of any user."""
    if (token := bearer(authorization)) is not None:
        return token
    basic = Authorization.from_header(authorization)
    return basic.password if basic is not None and basic.type == "basic" else None


def is_basic() -> bool:
    """Return whether the current request uses Basic authentication, well-formed or not."""
    return request.headers.get("Authorization", "").strip().lower().split(" ")[0] == "basic"


def is_token(password: str) -> bool:
    """Return whether a password looks like an API token, where tokens are required."""
    return settings.require_tokens and password.startswith(api_tokens.TOKEN_PREFIX)


def init_app(app: Pipeline) -> None:
    """Wire the hook, if tokens are required."""
    if not app.config["SETTINGS"].require_tokens:
        return

    @app.before
    def check_token(request: Request) -> None:
        if request.url_rule is None or request.method == "OPTIONS":
            return
        scope = _scope(request.url_rule.endpoint, request.view_args or {})
        if scope is None:
            return
        try:
            g.holder = _checked(scope, request.headers.get("Authorization", ""), request.content_length or 0)
        except PipelineError:
            bodies.drain()
            raise


def check_announced(method: str, path: str, authorization: str, length: int) -> None:
    """Check the token of an upload before nginx reads its body; the path is as the client sent it.

    A path without a route needs a token too: nginx may yet normalise it into one that has a route.
    Raises TokenNeeded, NotAllowed and QuotaExceeded.
    """
    if not settings.require_tokens:
        return
    try:
        endpoint, arguments = current_app.url_map.bind("").match(unquote(path), method)
    except (HTTPException, RequestRedirect):
        endpoint, arguments = "", {}
    g.holder = _checked(_scope(endpoint, arguments), authorization, length)


def _scope(endpoint: str, arguments: Mapping[str, Any]) -> str | None:
    """Return the scope that a route needs, None for a link.

    A blueprint has the name of its surface, but a resumable upload is for the surface in its path.
    """
    verb = verb_of(current_app.view_functions.get(endpoint))
    return None if verb is None else f"{arguments.get('surface', endpoint.partition('.')[0])}:{verb}"


def _checked(scope: str | None, authorization: str, length: int) -> Holder:
    secret = shown(authorization)
    if secret is None:
        raise TokenNeeded("This needs an API token, as `Authorization: Bearer …`.", shown=False)
    holder = api_tokens.holder(secret)
    if holder is None:
        raise TokenNeeded("The API token is unknown, revoked or expired.", shown=True)
    if scope is not None and not holder.allows(*scope.split(":")):
        raise NotAllowed(scope)
    if holder.quota is not None and length > MULTIPART_OVERHEAD:
        # A first check: how much of a form is the file is not known yet. `api_tokens.charged` is exact.
        api_tokens.check_quota(holder.id, length - MULTIPART_OVERHEAD)
    return holder
