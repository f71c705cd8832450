"""The commands behind manage.py, each imported only when it is run.

`commands` has those that need no app, `service_commands` the others. So `--help`, `copy`, `fetch`, `send` and `get` do
not wait for the imports of the service, which take more than a second.
"""

from importlib import import_module

import click

from vimeo_api import startup
from vimeo_api.version import VERSION

# Where each command is, and its line in `--help`: the first line of its docstring.
COMMANDS = {
    "attempts": (
        "service_commands.attempts:attempts",
        "List the attempts at a one-time file, given its link: times, first byte, bytes, and whether it was complete.",
    ),
    "copy": ("commands.copy:copy", "Copy the file SRC to DST, or into the folder DST, with several threads."),
    "db": ("service_commands.database:db", "Perform database migrations."),
    "doubts": ("service_commands.doubts:doubts", "List the one-time files in doubt, or decide about one."),
    "fetch": (
        "commands.fetch:fetch",
        "Fetch a URL to DST, or into the folder DST under the name that the origin suggests.",
    ),
    "files": ("service_commands.files:files", "List, show, expire and delete stored files."),
    "get": ("commands.get:get", "Download a link to DST, or into the folder DST under the file's own name."),
    "hosts": (
        "service_commands.hosts:hosts",
        "List the hosts of the service, or retire one.",
    ),
    "move": (
        "service_commands.move:move",
        "Move stored files to STORE_DIR or to the object store; safe while the service runs.",
    ),
    "nginx-body-limit": (
        "service_commands.nginx:nginx_body_limit",
        "Print nginx's limit for uploads, made from VIMEO_MAX_BYTES.",
    ),
    "nginx-objects": (
        "service_commands.nginx:nginx_objects",
        "Print how nginx reaches the object store, made from STORE_URL and STORE_ENDPOINT.",
    ),
    "nginx-origins": (
        "service_commands.nginx:nginx_origins",
        "Print the sites whose pages may read nginx's own errors, made from CORS_ORIGINS.",
    ),
    "nginx-peers": (
        "service_commands.nginx:nginx_peers",
        "Print the key by which nginx knows the other hosts, made from SECRET_KEY.",
    ),
    "receipts": (
        "service_commands.receipts:receipts",
        "List the receipts of uploads, send them again, and show the secret that signs them.",
    ),
    "reconcile": (
        "service_commands.reconcile:reconcile",
        "Find bytes without a row, rows without bytes, and damaged files; safe while the service runs.",
    ),
    "runserver": ("service_commands.serving:runserver", "Serve the embedded profile: no other service needed."),
    "send": ("commands.send:send", "Send files to a server and print a link, which works once."),
    "settings": (
        "service_commands.settings:settings",
        "Print every setting with its default, as docs/settings.md lists them.",
    ),
    "token": (
        "service_commands.token:token",
        "Create, list, change and revoke API tokens; REQUIRE_TOKENS=1 requires them.",
    ),
    "uploads": ("service_commands.uploads:uploads", "List unfinished resumable uploads, and end them."),
    "worker": ("service_commands.serving:worker", "Run a worker with beat; runserver starts one itself."),
}


class LazyGroup(click.Group):
    """A group of COMMANDS. Source: https://click.palletsprojects.com/en/stable/complex/#lazily-loading-subcommands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; return None for an unknown name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        startup.begin()
        try:
            command: click.Command = getattr(import_module(f"vimeo_api.{module}"), name)
        finally:
            startup.end()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands; click's own method would import every command."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup)
@click.version_option(VERSION)
def cli() -> None:
    """Run and maintain the upload service; copy, fetch, send and get files."""
