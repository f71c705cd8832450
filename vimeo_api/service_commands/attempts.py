"""`manage.py attempts`: how far a one-time file has been downloaded, directly from the database."""

import click
from flask.cli import with_appcontext

from vimeo_api.core.deliveries import attempts as kept
from vimeo_api.core.files import catalog, leases
from vimeo_api.core.policy import VIMEO
from vimeo_api.extensions import settings
from vimeo_api.service_commands.loading import APP, DatabaseCommand


@click.command(cls=DatabaseCommand, context_settings={"obj": APP})
@click.argument("link")
@with_appcontext
def attempts(link: str) -> None:
    """List the attempts at a one-time file, given its link: times, first byte, bytes, and whether it was complete."""
    entry = catalog.find(VIMEO.surface, link.split("?", maxsplit=1)[0].rstrip("/").rpartition("/")[2])
    if entry is None:
        raise click.ClickException("There is no such file.")
    most = leases.spans_of(entry).most((0, entry.size))
    budget = settings.vimeo.budget * entry.downloads
    left = max(0, budget - most)
    click.echo(f"{entry.status}\t{entry.size} bytes\twhole responses left: {left} of {budget}")
    for row in kept.at(entry.id):
        begun = "" if row.begun_at is None else f"{row.begun_at:%Y-%m-%d %H:%M:%S}"
        end = "complete" if row.complete else "interrupted"
        click.echo(f"{row.response}\t{begun}\t{row.ended_at:%Y-%m-%d %H:%M:%S}\t{row.start}\t{row.sent}\t{end}")
