"""`python -m vimeo_api`: the same commands as `manage.py` and `vimeo-api`."""

from vimeo_api.cli import cli

if __name__ == "__main__":
    cli(prog_name="vimeo-api")
