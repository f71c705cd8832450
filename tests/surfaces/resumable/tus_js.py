"""tus-js-client, a real client of tus, in Node."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.services import ROOT

NODE = ROOT / ".venv/node"  # `make test` installs tus-js-client there
INSTALLED = (NODE / "node_modules").exists()
BY_NODE = pytest.mark.skipif(  # in CI they fail
    not INSTALLED and not os.environ.get("CI"), reason="npm could not install tus-js-client; `make test` says why"
)


def uploaded(
    origin: str,
    file: Path,
    way: str,
    *,
    limits: Sequence[int] = (),
    trusted: Path | None = None,
    seconds: float = 120,
) -> str:
    """Upload a file and return the path of the upload.

    By https it speaks HTTP/2, trusts a certificate, and breaks off after each of the limits (bytes), the last first.
    """
    script = ROOT / "tests/surfaces/resumable/node/upload.mjs"
    command = ["node", str(script), f"{origin}/uploads/streams", str(file), way, ",".join(map(str, limits))]
    environ = os.environ | ({"NODE_EXTRA_CA_CERTS": str(trusted)} if trusted else {})
    done = subprocess.run(command, cwd=NODE, env=environ, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{way}: {done.stderr}"
    return "/uploads/" + done.stdout.strip().partition("/uploads/")[2]
