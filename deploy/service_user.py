"""The user that the stack runs as. `deploy/stack.py` calls it before all else."""

import os
import pwd
import sys
from pathlib import Path

SERVICE_USER = "www-data"


def data_dir() -> Path:
    """Return where the stack keeps everything."""
    return Path(os.environ.get("DATA_DIR") or "data").absolute()


def become_service_user() -> None:
    """If we are root, run this program again as an ordinary user that may enter every folder, capabilities(7)."""
    if os.geteuid() != 0:
        return
    data_dir().mkdir(parents=True, exist_ok=True)
    user = pwd.getpwnam(SERVICE_USER)
    os.environ.update(HOME="/", USER=SERVICE_USER, LOGNAME=SERVICE_USER)
    rights = ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    tie = ["--pdeathsig", "TERM"] if "STACK_PARTS" in os.environ else []  # a host of a fleet ends with it
    ids = ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    os.execvp("setpriv", ["setpriv", *ids, *rights, *tie, "--", sys.executable, *sys.argv])
