"""`manage.py hosts`: the hosts of the service, how far behind each is, and retiring one that will not come back."""

from datetime import datetime, timedelta

import click
from flask.cli import with_appcontext

from vimeo_api import logs
from vimeo_api.core import hosts as registry
from vimeo_api.core.clock import now
from vimeo_api.core.files import retired_hosts
from vimeo_api.core.hosts import Listed
from vimeo_api.core.resumable import rows
from vimeo_api.extensions import settings
from vimeo_api.service_commands.loading import APP, DatabaseGroup

ALIVE = timedelta(seconds=60)  # a host whose last sweep is no older than this may still be working


@click.group(cls=DatabaseGroup, context_settings={"obj": APP}, invoke_without_command=True)
@click.pass_context
def hosts(context: click.Context) -> None:
    """List the hosts of the service, or retire one.

    The list has the name, the seconds since its last sweep and since its journal was read, the files that it has not
    placed yet, their bytes, and its address for the other hosts.
    """
    if context.invoked_subcommand is None:
        context.invoke(_list)


@click.command()
@with_appcontext
def _list() -> None:
    pending = retired_hosts.pending()
    for host in registry.listing():
        files, size = pending.get(host.name, (0, 0))
        ages = f"seen {_age(host.seen_at)}\tjournal read {_age(host.journal_read_at)}"
        click.echo(f"{host.name}\t{ages}\t{files} pending\t{size} bytes\t{host.address or ''}")


@hosts.command()
@click.argument("name")
@click.option("--lose-files", is_flag=True, help="Give up the files whose only bytes are on the host.")
@with_appcontext
def retire(name: str, *, lose_files: bool) -> None:
    """End what waits for the host NAME, which will not come back.

    Downloads that it may have completed are in doubt (`manage.py doubts`). Its unfinished resumable uploads end. Files
    that it has not placed are lost; they are listed, and nothing is done unless you say --lose-files.
    """
    _check_dead(_known(name))
    lost = retired_hosts.lost(name)
    for file in lost:
        click.echo(f"lost: {file.surface}\t{file.id}\t{file.size} bytes\t{file.name}")
    if lost and not lose_files:
        raise click.ClickException(f"These files are on {name} alone. Bring it back, or say --lose-files.")
    doubted = retired_hosts.doubt(name)
    retired_hosts.give_up(lost)
    retired_hosts.forget_copies(name)
    ended = rows.remove_of_host(name)
    registry.forget(name)
    logs.note("host retired", name=name, lost=len(lost), doubted=doubted)
    click.echo(f"{name} is retired. Files lost: {len(lost)}; downloads in doubt: {doubted}; uploads ended: {ended}")


def _known(name: str) -> Listed:
    known = {host.name: host for host in registry.listing()}
    if name not in known:
        raise click.ClickException(f"There is no host {name}.")
    return known[name]


def _check_dead(host: Listed) -> None:
    if host.name == settings.host_name:
        raise click.ClickException("This is the host itself. Retire it from another one.")
    if now() - host.seen_at < ALIVE:
        raise click.ClickException(f"{host.name} is alive. Stop its services, and wait a minute.")


def _age(moment: datetime | None) -> str:
    return "never" if moment is None else f"{(now() - moment).total_seconds():.0f} s ago"
