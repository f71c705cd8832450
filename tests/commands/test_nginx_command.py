"""`manage.py nginx-body-limit`: nginx's limit follows the setting."""

import os
import subprocess
import sys

from tests.services import ROOT


def test_nginx_accepts_the_largest_file_with_a_form_around_it() -> None:
    environ = os.environ | {"PROFILE": "production", "VIMEO_MAX_BYTES": "3MiB"}
    command = [sys.executable, "manage.py", "nginx-body-limit"]
    said = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout
    assert said == f"client_max_body_size {4 * 1024**2};\n"
