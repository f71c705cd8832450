"""`manage.py token`: create, list, change and revoke API tokens, directly in the database."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import click
from flask.cli import with_appcontext

from vimeo_api.commands.sizes import Size
from vimeo_api.core.access import api_tokens
from vimeo_api.core.access.api_tokens import Listed
from vimeo_api.core.errors import PipelineError
from vimeo_api.service_commands.durations import Duration
from vimeo_api.service_commands.loading import APP, DatabaseGroup


@click.group(cls=DatabaseGroup, context_settings={"obj": APP})
def token() -> None:
    """Create, list, change and revoke API tokens; REQUIRE_TOKENS=1 requires them."""


@token.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    metavar="SURFACE:VERB",
    multiple=True,
    required=True,
    help=f"What the token allows; may be repeated. Verbs: {', '.join(api_tokens.VERBS)}; * is any surface or verb.",
)
@click.option("--quota", type=Size("1023T"), help="Most bytes it may have stored, such as 10G; no limit by default.")
@click.option("--expires-in", "life", type=Duration(), help="Lifetime, such as 90d, 12h or 30m; unlimited by default.")
@with_appcontext
def create(name: str, scopes: tuple[str, ...], quota: int | None, life: timedelta | None) -> None:
    """Create a token and print it; it cannot be shown again."""
    with _sentences():
        click.echo(api_tokens.create(name, scopes, quota=quota, life=life))


@token.command("list")
@click.option("--usage", is_flag=True, help="Also how many files and bytes each has stored, by surface.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, with the usage.")
@with_appcontext
def list_(*, usage: bool, as_json: bool) -> None:
    """List all tokens, revoked ones too: name, state, scopes, bytes stored and quota, expiry."""
    with _sentences():
        for found in api_tokens.listing():
            if as_json:
                click.echo(json.dumps(_fields(found)))
                continue
            quota = "no quota" if found.quota is None else f"of {found.quota}"
            expiry = "" if found.expires_at is None else f"\texpires {found.expires_at:%Y-%m-%d %H:%M} UTC"
            click.echo(f"{found.name}\t{found.state}\t{found.scopes}\t{found.used} bytes {quota}{expiry}")
            if usage:
                for surface, (files, size) in api_tokens.usage(found.id).items():
                    click.echo(f"  {surface}\t{files} files\t{size} bytes")


@token.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@with_appcontext
def show(name: str, *, as_json: bool) -> None:
    """Show all that is known about a token, and what it has stored."""
    with _sentences():
        fields = _fields(api_tokens.named(name))
    if as_json:
        click.echo(json.dumps(fields))
        return
    usage = fields.pop("usage")
    for field, value in fields.items():
        click.echo(f"{field}\t{'-' if value is None else value}")
    for surface, stored in usage.items():
        click.echo(f"{surface}\t{stored['files']} files, {stored['bytes']} bytes")


@token.command()
@click.argument("name")
@click.argument("new")
@with_appcontext
def rename(name: str, new: str) -> None:
    """Rename the token NAME to NEW; its secret and what it stored stay the same."""
    with _sentences():
        api_tokens.rename(name, new)


class _Quota(Size):
    """A size, or `none`."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes, 0 for `none`."""
        return 0 if value == "none" else super().convert(value, param, ctx)


@token.command()
@click.argument("name")
@click.argument("size", type=_Quota("1023T"), metavar="SIZE|none")
@with_appcontext
def quota(name: str, size: int) -> None:
    """Change how many bytes may be stored with a token, such as 10G; what is stored stays."""
    with _sentences():
        api_tokens.set_quota(name, size or None)


@token.command()
@click.argument("name")
@with_appcontext
def revoke(name: str) -> None:
    """Revoke a token, from the very next request on."""
    with _sentences():
        api_tokens.revoke(name)


def _fields(found: Listed) -> dict[str, Any]:
    """Return what the operator sees of a token, ready for JSON."""
    moments = {name: getattr(found, name) for name in ("created_at", "expires_at", "revoked_at")}
    return {
        "name": found.name,
        "state": found.state,
        "scopes": found.scopes,
        "quota": found.quota,
        "used": found.used,
        **{name: moment and f"{moment:%Y-%m-%dT%H:%M:%SZ}" for name, moment in moments.items()},
        "usage": {
            surface: {"files": files, "bytes": size} for surface, (files, size) in api_tokens.usage(found.id).items()
        },
    }


@contextmanager
def _sentences() -> Iterator[None]:
    """End a command with a sentence and exit code 1 for an error of the core."""
    try:
        yield
    except PipelineError as error:
        raise click.ClickException(str(error)) from None
