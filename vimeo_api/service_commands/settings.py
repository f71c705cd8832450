"""`manage.py settings`: the tables of docs/settings.md."""

import click

from vimeo_api import config


@click.command()
def settings() -> None:
    """Print every setting with its default, as docs/settings.md lists them."""
    for title, rows in config.table():
        click.echo(f"\n## {title}\n\n| Setting | Default | What it is |\n|---|---|---|")
        for name, default, description in rows:
            click.echo(f"| `{name}` | {f'`{default}`' if default else ''} | {description} |")
