"""`manage.py reconcile`: list differences between the database and the stores, and repair them if asked."""

from collections.abc import Iterator

import click

from vimeo_api.config.values import LONGEST_SECONDS
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.maintenance import reconciliation
from vimeo_api.core.maintenance.reconciliation import Finding
from vimeo_api.service_commands.loading import DatabaseCommand, load_existing

_MOST = 10**9  # files in a sample


@click.command(cls=DatabaseCommand)
@click.option("--fix", is_flag=True, help="Fix what can be fixed; each finding is printed first.")
@click.option(
    "--age",
    metavar="SECONDS",
    type=click.IntRange(0, LONGEST_SECONDS),
    default=reconciliation.AGE_SECONDS,
    show_default=True,
    help="Skip files younger than this; it must be longer than any upload takes.",
)
@click.option(
    "--sample",
    metavar="N",
    type=click.IntRange(0, _MOST),
    default=reconciliation.SAMPLE,
    show_default=True,
    help="How many files to read and compare with their digests.",
)
@click.pass_context
def reconcile(context: click.Context, *, fix: bool, age: int, sample: int) -> None:
    """Find bytes without a row, rows without bytes, and damaged files; safe while the service runs.

    Exits with 1 if anything remains to be repaired, or if the store is away and cannot be checked.
    """
    with load_existing().app_context():
        try:
            found = list(_reported(reconciliation.findings(age=age, sample=sample), fix=fix))
        except Unavailable as error:
            raise click.ClickException(str(error)) from None
    remaining = sum(1 for finding in found if not (fix and finding.repair))
    click.echo(f"{len(found)} found, {remaining} remain")
    context.exit(1 if remaining else 0)


def _reported(findings: Iterator[Finding], *, fix: bool) -> Iterator[Finding]:
    """Print each finding, fix it if asked and possible, and yield it."""
    for finding in findings:
        remedy = "cannot be fixed here" if finding.repair is None else "removed" if fix else "would be removed"
        click.echo(f"{finding.kind}: {finding.about}: {remedy}")
        if fix and finding.repair is not None:
            finding.repair()
        yield finding
