"""The commands behind manage.py."""

import os
from collections.abc import Iterator

import click
from flask import Flask
from flask.cli import FlaskGroup

from vimeo_api import config, logs
from vimeo_api.app import create_app
from vimeo_api.commands.copy import copy
from vimeo_api.commands.fetch import fetch
from vimeo_api.commands.nginx import nginx_body_limit
from vimeo_api.commands.token import token
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.maintenance import reconciliation
from vimeo_api.core.maintenance.reconciliation import Finding
from vimeo_api.embedded import server
from vimeo_api.embedded.worker import run_worker


def _app(**overrides: object) -> Flask:
    """Return the app, or end with a sentence about each setting that is wrong."""
    try:
        settings = config.load({name: str(value) for name, value in overrides.items() if value is not None})
        logs.configure(settings)
        os.umask(0o077)  # what we write is for this user alone
        return create_app(settings)
    except config.ConfigError as error:
        raise click.ClickException(str(error)) from None


cli = FlaskGroup(create_app=_app, add_default_commands=False, add_version_option=False, help=__doc__)
cli.add_command(copy)
cli.add_command(fetch)
cli.add_command(nginx_body_limit)
cli.add_command(token)


@cli.command()
@click.option("--bind", help="Address to listen on (BIND).")
@click.option("--port", type=int, help="Port to listen on (PORT).")
@click.option("-a", "--addr", metavar="HOST:PORT", help="Address and port in one, as `0.0.0.0:8080`.")
@click.option("--path", metavar="DIR", help="Folder for everything that is written (DATA_DIR).")
@click.option("-d", "--debug", is_flag=True, help="Log more (LOG_LEVEL=DEBUG).")
def runserver(bind: str | None, port: int | None, addr: str | None, path: str | None, *, debug: bool) -> None:
    """Serve the embedded profile: no other service needed."""
    if addr is not None:
        host, _, number = addr.rpartition(":")
        bind, port = host.strip("[]") or "0.0.0.0", int(number) if number.isdigit() else -1  # noqa: S104 -- as asked
    level = "DEBUG" if debug else None
    app = _app(bind=bind, port=port, data_dir=path, streams_path=path, log_level=level)
    if app.config["SETTINGS"].behind_nginx:
        raise click.ClickException(
            "runserver is the embedded profile; in production uWSGI serves behind nginx (deploy/README.md)."
        )
    server.serve(app)


@cli.command()
@click.option("--until-stdin-ends", is_flag=True, hidden=True)
def worker(*, until_stdin_ends: bool) -> None:
    """Run a worker with beat, as runserver does by itself."""
    run_worker(_app(), until_stdin_ends=until_stdin_ends)


@cli.command()
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
    help="Compare the digests of so many files with their bytes.",
)
@click.pass_context
def reconcile(context: click.Context, *, fix: bool, age: float, sample: int) -> None:
    """Find bytes without a row, rows without their bytes, and damage; safe beside a running service.

    Exits with 1 if something remains that is not as it should be, or the store is away so that nobody can tell.
    """
    with _app().app_context():
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


@cli.command()
def settings() -> None:
    """Print every setting with its default, as docs/settings.md has them."""
    for title, rows in config.table():
        click.echo(f"\n## {title}\n\n| Setting | Default | What it is |\n|---|---|---|")
        for name, default, description in rows:
            click.echo(f"| `{name}` | {f'`{default}`' if default else ''} | {description} |")
