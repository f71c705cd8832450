"""`manage.py reconcile`: what the database and the folders do not agree about is listed, and repaired if asked."""

from collections.abc import Iterator

import click

from vimeo_api.core.errors import Unavailable
from vimeo_api.core.maintenance import reconciliation
from vimeo_api.core.maintenance.reconciliation import Finding
from vimeo_api.service_commands.loading import load_app


@click.command()
@click.option("--fix", is_flag=True, help="Mend what can be mended, after saying so.")
@click.option(
    "--age",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=reconciliation.AGE_SECONDS,
    show_default=True,
    help="Pass over what is younger; less than the longest upload is not safe.",
)
@click.option(
    "--sample",
    metavar="N",
    type=click.IntRange(min=0),
    default=reconciliation.SAMPLE,
    show_default=True,
    help="Compare the digests of this many files with their bytes.",
)
@click.pass_context
def reconcile(context: click.Context, *, fix: bool, age: float, sample: int) -> None:
    """Find bytes without a row, rows without their bytes, and damage; safe beside a running service.

    Exits with 1 if anything remains to be repaired, or if the store is away so that nobody can tell.
    """
    with load_app().app_context():
        try:
            found = list(_told(reconciliation.findings(age=age, sample=sample), fix=fix))
        except Unavailable as error:
            raise click.ClickException(str(error)) from None
    remaining = sum(1 for finding in found if not (fix and finding.mend))
    click.echo(f"{len(found)} found, {remaining} remain")
    context.exit(1 if remaining else 0)


def _told(findings: Iterator[Finding], *, fix: bool) -> Iterator[Finding]:
    """Yield findings, each one told and, where that is wanted and can be done, mended."""
    for finding in findings:
        remedy = "nothing to be done here" if finding.mend is None else "removed" if fix else "would be removed"
        click.echo(f"{finding.kind}: {finding.about}: {remedy}")
        if fix and finding.mend is not None:
            finding.mend()
        yield finding
