"""`manage.py files`: list, show, expire and delete stored files of every surface, directly in the database."""

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click
from flask.cli import with_appcontext

from vimeo_api.commands.sizes import Size
from vimeo_api.core.access import api_tokens
from vimeo_api.core.clock import now
from vimeo_api.core.database.models import Status
from vimeo_api.core.errors import NotFound
from vimeo_api.core.files import catalog, file_names, lifecycle, search
from vimeo_api.core.files.catalog import Entry
from vimeo_api.core.files.search import Search
from vimeo_api.core.policy import BY_SURFACE, POLICIES
from vimeo_api.core.storage.folders import relative
from vimeo_api.service_commands import naming
from vimeo_api.service_commands.durations import Duration
from vimeo_api.service_commands.loading import APP, DatabaseGroup
from vimeo_api.services import downloads
from vimeo_api.services import files as stored

Command = TypeVar("Command", bound=Callable[..., Any])

_BATCH = 500  # files per statement


@click.group(cls=DatabaseGroup, context_settings={"obj": APP})
def files() -> None:
    """List, show, expire and delete stored files."""


def _filters(command: Command) -> Command:
    """Add the options that choose files."""
    options = (
        click.option("--surface", type=click.Choice([policy.surface for policy in POLICIES]), help="Only of this one."),
        click.option("--token", "token_name", metavar="NAME", help="Only what this API token has stored."),
        click.option("--name", "part", metavar="TEXT", help="Only files whose names contain this, in any case."),
        click.option("--older", type=Duration(), help="Only files uploaded longer ago, such as 30d."),
        click.option("--newer", type=Duration(), help="Only files uploaded since then, such as 12h."),
        click.option("--larger", type=Size("1023T"), help="Only files of at least this size, such as 10M."),
        click.option("--smaller", type=Size("1023T"), help="Only files of at most this size."),
        click.option("--state", type=click.Choice([str(status) for status in Status]), help="Default: all but `gone`."),
    )
    for option in reversed(options):
        command = option(command)
    return command


_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
_yes = click.option("--yes", is_flag=True, help="Do not ask.")
_which = click.argument("which", metavar="[ID|LINK]…", nargs=-1)


@files.command("list")
@_filters
@_as_json
@with_appcontext
def list_(*, as_json: bool, **filters: Any) -> None:
    """List files, the oldest first: id, surface, state, bytes, upload time, token, name."""
    tokens = api_tokens.names()
    for entry in search.found(_search(**filters)):
        fields = _fields(entry, tokens)
        if as_json:
            click.echo(json.dumps(fields))
        else:
            said = ("id", "surface", "state", "size", "created_at", "token", "name")
            click.echo("\t".join("-" if fields[name] is None else str(fields[name]) for name in said))


@files.command()
@click.argument("which", metavar="ID|LINK", nargs=-1, required=True)
@_as_json
@with_appcontext
def show(which: tuple[str, ...], *, as_json: bool) -> None:
    """Show all that is known about files, given their ids or links."""
    tokens = api_tokens.names()
    for entry in map(naming.entry, which):
        fields = _fields(entry, tokens)
        if as_json:
            click.echo(json.dumps(fields))
        else:
            click.echo("\n".join(f"{name}\t{value}" for name, value in fields.items() if value is not None))


@files.command()
@_which
@_filters
@_yes
@with_appcontext
def delete(which: tuple[str, ...], *, yes: bool, **filters: Any) -> None:
    """Delete files, given ids, links or filters; running downloads finish."""
    ids = _confirmed("Delete", which, filters, yes=yes)
    entries = (catalog.by_id(file_id) for file_id in ids)
    gone = stored.remove_entries(*(entry for entry in entries if entry is not None))
    click.echo(f"{_files(gone)} deleted")


@files.command()
@click.option("--in", "life", type=Duration(), required=True, help="How long they are still kept, such as 7d.")
@_which
@_filters
@_yes
@with_appcontext
def expire(which: tuple[str, ...], *, life: timedelta, yes: bool, **filters: Any) -> None:
    """Set when files expire, given ids, links or filters; this replaces any earlier expiry."""
    ids = _confirmed("Set the expiry of", which, filters, yes=yes)
    expires_at = now() + life
    kept = sum(lifecycle.limit(ids[at : at + _BATCH], expires_at) for at in range(0, len(ids), _BATCH))
    click.echo(f"{_files(kept)} will expire at {_written(expires_at)}")


def _confirmed(verb: str, which: tuple[str, ...], filters: dict[str, Any], *, yes: bool) -> list[int]:
    """Return the ids of the chosen files, once the operator has agreed."""
    filtered = any(value is not None for value in filters.values())
    if bool(which) == filtered:
        raise click.UsageError("Give either ids and links, or filters such as --token.")
    chosen: Iterable[Entry] = map(naming.entry, which) if which else search.found(_search(**filters))
    sizes = {entry.id: entry.size for entry in chosen}
    if sizes and not yes:
        click.confirm(f"{verb} {_files(len(sizes))} ({sum(sizes.values())} bytes)?", abort=True)
    return list(sizes)


def _search(
    *,
    surface: str | None,
    token_name: str | None,
    part: str | None,
    older: timedelta | None,
    newer: timedelta | None,
    larger: int | None,
    smaller: int | None,
    state: str | None,
) -> Search:
    try:
        token_id = None if token_name is None else api_tokens.named(token_name).id
    except NotFound as error:
        raise click.ClickException(str(error)) from None
    if part is not None and not file_names.folded(part):
        raise click.UsageError("--name needs a part of a name: an empty one would mean all files.")
    moment = now()
    return Search(
        surface=surface,
        token_id=token_id,
        name=part or "",
        state=state,
        since=None if newer is None else moment - newer,
        until=None if older is None else moment - older,
        smallest=larger,
        largest=smaller,
    )


def _fields(entry: Entry, tokens: dict[int, str]) -> dict[str, Any]:
    """Return what the operator sees of a file, ready for JSON. Keys and source URLs open files, so they stay out."""
    return {
        "id": entry.id,
        "surface": entry.surface,
        "state": "expired" if entry.expired and entry.status != Status.GONE else entry.status,
        "size": entry.size,
        "created_at": _written(entry.created_at),
        "expires_at": _written(entry.expires_at),
        "token": None if entry.token_id is None else tokens.get(entry.token_id),
        "name": entry.name,
        "content_type": entry.content_type,
        "digest": entry.digest,
        "queue": entry.queue,
        "protected": entry.password_hash is not None,
        "responses": entry.responses,
        "downloads": entry.downloads if BY_SURFACE[entry.surface].one_time else None,
        "downloads_left": downloads.left(entry) if BY_SURFACE[entry.surface].one_time else None,
        "delivered_at": _written(entry.delivered_at),
        "purged_at": _written(entry.purged_at),
        "path": relative(entry.surface, entry.blob),
        "error": entry.error,
    }


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _files(number: int) -> str:
    return f"{number} file{'' if number == 1 else 's'}"
