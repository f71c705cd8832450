"""`manage.py runserver` and `manage.py worker`: the embedded profile and its worker."""

import click
from kombu.exceptions import OperationalError

from vimeo_api.config import ConfigError
from vimeo_api.core.monitoring.readiness import check_object_store
from vimeo_api.embedded import server
from vimeo_api.embedded.worker import run_worker
from vimeo_api.service_commands.loading import DatabaseCommand, load_app


@click.command(cls=DatabaseCommand)
@click.option("--bind", help="Address to listen on (BIND).")
@click.option("--port", type=int, help="Port to listen on (PORT).")
@click.option("-a", "--addr", metavar="HOST:PORT", help="Address and port in one, such as `0.0.0.0:8080`.")
@click.option("--path", metavar="DIR", help="Folder for everything the service writes (DATA_DIR).")
@click.option("-d", "--debug", is_flag=True, help="Log more (LOG_LEVEL=DEBUG).")
def runserver(bind: str | None, port: int | None, addr: str | None, path: str | None, *, debug: bool) -> None:
    """Serve the embedded profile: no other service needed."""
    if addr is not None:
        host, _, number = addr.rpartition(":")
        bind, port = host.strip("[]") or "0.0.0.0", int(number) if number.isascii() and number.isdigit() else -1  # noqa: S104 -- as asked
    level = "DEBUG" if debug else None
    app = load_app(bind=bind, port=port, data_dir=path, streams_path=path, log_level=level)
    if app.config["SETTINGS"].behind_nginx:
        raise click.ClickException(
            "runserver is the embedded profile; in production uWSGI serves behind nginx (deploy/README.md)."
        )
    try:
        with app.app_context():
            check_object_store()
        server.serve(app)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    except OperationalError as error:
        raise click.ClickException(f"The broker cannot be used: {error}") from None


@click.command(cls=DatabaseCommand)
@click.option("--until-stdin-ends", is_flag=True, hidden=True)
def worker(*, until_stdin_ends: bool) -> None:
    """Run a worker with beat; runserver starts one itself."""
    run_worker(load_app(existing=True), until_stdin_ends=until_stdin_ends)
