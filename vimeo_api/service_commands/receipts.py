"""`manage.py receipts`: receipts and how they fared, directly from the database, and the secret that signs them."""

import json
from datetime import datetime

import click
from flask.cli import with_appcontext

from vimeo_api.core.database.models import ReceiptState
from vimeo_api.core.receipts import outbox
from vimeo_api.extensions import notify_secrets
from vimeo_api.service_commands import naming
from vimeo_api.service_commands.loading import APP, DatabaseGroup


@click.group(cls=DatabaseGroup, context_settings={"obj": APP})
def receipts() -> None:
    """List the receipts of uploads, send them again, and show the secret that signs them."""


@receipts.command("list")
@click.option("--state", type=click.Choice([str(one) for one in ReceiptState]), help="Default: not delivered.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@with_appcontext
def list_(*, state: str | None, as_json: bool) -> None:
    """List receipts, the oldest first: the file's id, event, state, tries, next try, host, last error."""
    wanted = [ReceiptState(state)] if state else [ReceiptState.WAITING, ReceiptState.FAILED]
    for receipt in outbox.listing(*wanted):
        next_try = receipt.due_at if receipt.state == ReceiptState.WAITING else None
        fields = {
            "file": receipt.file_id,
            "event": receipt.event,
            "state": receipt.state,
            "tries": receipt.attempts,
            "next_try_at": _written(next_try),
            "host": receipt.host,
            "error": receipt.error,
            "id": receipt.message_id,
            "at": _written(receipt.happened_at),
            "tried_at": _written(receipt.tried_at),
        }
        if as_json:
            click.echo(json.dumps(fields))
        else:
            shown = list(fields.values())[:7]
            click.echo("\t".join("-" if value is None else str(value) for value in shown))


@receipts.command()
@click.argument("which", metavar="ID|LINK")
@with_appcontext
def resend(which: str) -> None:
    """Send the undelivered receipts of a file again, given its id or link.

    Receipts that were given up more than a week ago, or that the receiver did not want, have no URL any more.
    """
    number = outbox.resend(naming.entry(which).id)
    if not number:
        raise click.ClickException("The file has no receipt that could be sent again.")
    click.echo(f"{number} receipt{'' if number == 1 else 's'} will be sent")


@receipts.command()
@with_appcontext
def secret() -> None:
    """Print the secrets that sign receipts, one a line; receivers check signatures with any of them."""
    for one in notify_secrets:
        click.echo(one)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"
