"""Prepare the volumes before any other container starts; `migrate` in docker-compose.yml runs it at each start.

It makes the secrets that nobody has set, writes what the settings decide about nginx, and brings the tables up to date.
"""

import os
import secrets
import subprocess
import sys
from pathlib import Path

from cryptography.fernet import Fernet

from vimeo_api import config
from vimeo_api.config.secret import write_once
from vimeo_api.service_commands.nginx import body_limit, objects_upstream, origins

BODY_LIMIT = Path("/var/lib/vimeo_api/body_limit.conf")
OBJECTS = Path("/var/lib/vimeo_api/objects.conf")
ORIGINS = Path("/var/lib/vimeo_api/origins.conf")


def main() -> int:
    """Prepare everything; return the exit status of the migration."""
    try:
        _make_secrets(Path(os.environ["SECRETS_DIR"]))
        settings = config.load()
        BODY_LIMIT.write_text(f"{body_limit(settings)}\n")
        OBJECTS.write_text(objects_upstream(settings) if settings.store_url else "")
        ORIGINS.write_text(origins(settings))
    except (config.ConfigError, OSError) as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 1
    return subprocess.run([sys.executable, "manage.py", "db", "upgrade"], check=False).returncode


def _make_secrets(folder: Path) -> None:
    """Make the secrets that neither a file nor the environment has."""
    made = {"secret_key": secrets.token_hex(32), "sealing_keys": Fernet.generate_key().decode()}
    for name, value in made.items():
        if not os.environ.get(name.upper()) and not (folder / name).exists():
            write_once(folder / name, value)


if __name__ == "__main__":
    sys.exit(main())
