#!/usr/bin/env python
"""The command line: `python manage.py --help` lists what it can do."""

from vimeo_api.cli import cli

if __name__ == "__main__":
    cli()
