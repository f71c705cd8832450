"""The tests' own services end with the tests."""

import subprocess
import sys

from tests.production.parts import alive
from tests.services import ROOT, await_

TESTS = """
import subprocess, time
from tests.services import tied

process = subprocess.Popen(["sleep", "300"])
with tied(process):
    print(process.pid, flush=True)
    time.sleep(300)
"""


def test_a_service_ends_when_the_process_of_its_tests_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", TESTS], cwd=ROOT, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout
        pid = int(tests.stdout.readline())
        assert alive(pid)
        tests.kill()
    await_(lambda: not alive(pid))
