"""`manage.py token`: create, list and revoke API tokens, directly in the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import click
from flask.cli import with_appcontext

from vimeo_api.commands.sizes import Size
from vimeo_api.config.values import seconds
from vimeo_api.core.access import api_tokens
from vimeo_api.core.errors import PipelineError
from vimeo_api.service_commands.loading import APP, DatabaseGroup


class _Life(click.ParamType[timedelta]):
    """A duration, written as 90d, 12h or 30m."""

    name = "life"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        try:
            return timedelta(seconds=seconds(str(value)) or self.fail("It must last a while.", param, ctx))
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a duration such as 90d, 12h or 30m.", param, ctx)


@click.group(cls=DatabaseGroup, context_settings={"obj": APP})
def token() -> None:
    """Create, list and revoke API tokens; REQUIRE_TOKENS=1 requires them."""


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
@click.option("--expires-in", "life", type=_Life(), help="Lifetime, such as 90d, 12h or 30m; unlimited by default.")
@with_appcontext
def create(name: str, scopes: tuple[str, ...], quota: int | None, life: timedelta | None) -> None:
    """Create a token and print it; it cannot be shown again."""
    with _sentences():
        click.echo(api_tokens.create(name, scopes, quota=quota, life=life))


@token.command("list")
@with_appcontext
def list_() -> None:
    """List all tokens, revoked ones too: name, state, scopes, bytes stored and quota, expiry."""
    with _sentences():
        for found in api_tokens.listing():
            quota = "no quota" if found.quota is None else f"of {found.quota}"
            expiry = "" if found.expires_at is None else f"\texpires {found.expires_at:%Y-%m-%d %H:%M} UTC"
            click.echo(f"{found.name}\t{found.state}\t{found.scopes}\t{found.used} bytes {quota}{expiry}")


@token.command()
@click.argument("name")
@with_appcontext
def revoke(name: str) -> None:
    """Revoke a token, from the very next request on."""
    with _sentences():
        api_tokens.revoke(name)


@contextmanager
def _sentences() -> Iterator[None]:
    """Turn errors into a sentence and exit code 1."""
    try:
        yield
    except PipelineError as error:
        raise click.ClickException(str(error)) from None
