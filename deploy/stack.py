"""Run the production parts on this machine, in the foreground: `make stack`.

nginx → unix socket → uWSGI, PostgreSQL, two Redis, Celery workers and beat, from the same files in deploy/ that a host
uses. Only their paths are moved below DATA_DIR, and nginx listens on PORT. Any user can run it. As root it first
becomes `www-data`, because PostgreSQL refuses root, and keeps the right to enter folders that only root may enter.

With SERVICES_OF, the DATA_DIR of another stack, it is one more host of that one: it uses its PostgreSQL, its two Redis,
its secrets and its store, and starts none of its own. A host of a fleet (deploy/fleet.py) runs the parts that
STACK_PARTS lists, as supervisor/stack.conf calls them; PostgreSQL and the two Redis listen on STACK_ADDRESS for other
hosts; with BALANCED=1 a load balancer is in front; the settings say where the other parts are.

`service_user` changes the user, `main` reads the environment, `layout` has the places and writes the configuration,
`run` starts the parts in order, and supervisord keeps them running.
"""

import ctypes
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from deploy.service_user import become_service_user, data_dir  # noqa: E402 -- a script: the checkout is not installed

if __name__ == "__main__":
    become_service_user()  # runs this program again: before the imports that take a second

from vimeo_api import startup  # noqa: E402

startup.begin()

import psycopg  # noqa: E402

from deploy.layout import (  # noqa: E402
    DATABASE_USER,
    LATER,
    PARTS,
    Layout,
    StackError,
    make_folders,
    run_folder,
    write_configs,
)
from vimeo_api import config  # noqa: E402
from vimeo_api.config import secret  # noqa: E402
from vimeo_api.core.errors import Unavailable  # noqa: E402
from vimeo_api.core.storage.buckets import Refused  # noqa: E402
from vimeo_api.core.storage.object_store import ObjectStore  # noqa: E402
from vimeo_api.extensions import bucket  # noqa: E402

START_SECONDS = 60
POLL_SECONDS = 0.02
ORPHAN_SECONDS = 0.5  # between two checks for processes whose parent has died
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def main() -> int:
    """Run the stack until SIGINT or SIGTERM; return the exit status."""
    startup.end()
    data = data_dir()
    data.mkdir(parents=True, exist_ok=True)
    try:
        if kept := os.environ.get("SERVICES_OF"):
            _share(Path(kept).absolute())
        return run(_layout(data))
    except (config.ConfigError, StackError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1


def _layout(data: Path) -> Layout:
    named = os.environ.get("STACK_PARTS", " ".join(PARTS)).split()
    settings = config.load()
    _check_free(settings.bind, settings.port)
    return Layout(
        settings.bind,
        settings.port,
        data,
        run_folder(data),
        settings,
        tuple(part for part in PARTS if part in named),
        shared_at=os.environ.get("STACK_ADDRESS", ""),
        balanced=os.environ.get("BALANCED") == "1",
    )


def _share(kept: Path) -> None:
    """Take the services, the store and the secrets of another stack, unless others are set."""
    sockets = run_folder(kept)
    shared = {
        "STACK_PARTS": " ".join(("web", *LATER)),
        "DATABASE_URL": f"postgresql+psycopg:///vimeo_api?host={sockets}&user={DATABASE_USER}",
        "BROKER_URL": f"redis+socket://{sockets}/redis-broker/redis.sock",
        "CACHE_URL": f"unix://{sockets}/redis-cache/redis.sock",
        "STORE_DIR": str(kept / "store"),
        "SECRET_KEY": secret.secret_key(kept),
        "SEALING_KEYS": secret.sealing_keys(kept),
        "NOTIFY_SECRETS": secret.notify_secret(kept),
    }
    for name, value in shared.items():
        os.environ.setdefault(name, value)


def run(layout: Layout) -> int:
    """Start all parts in order, say when the service is ready, and stop them all at the end."""
    environ = layout.environ()
    _check_programs(environ["PATH"])
    if layout.settings.store_url and "postgres" in layout.parts:
        _check_object_store(layout)
    make_folders(layout)
    write_configs(layout)
    if "postgres" in layout.parts:
        _make_postgres(layout, environ)
    # From here on, a signal stops all parts, even in the middle of the start.
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    # The orphans of a killed part become our children; on a host they stay in the cgroup of its unit.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    layout.supervisor_socket.unlink(missing_ok=True)  # that of a stack that was killed
    supervisord = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "--", f"{sys.prefix}/bin/supervisord", "-c", str(layout.supervisor_config)],
        env=environ,
        start_new_session=True,  # Ctrl-C goes only to us, and we stop the parts
    )
    try:
        if "postgres" in layout.parts:
            _await("PostgreSQL", lambda: _make_database(layout), supervisord)
            _call([sys.executable, str(ROOT / "manage.py"), "db", "upgrade"], environ)
        if later := [f"stack:{part}" for part in LATER if part in layout.parts]:
            _await("supervisord", layout.supervisor_socket.exists, supervisord)
            _call([f"{sys.prefix}/bin/supervisorctl", "-c", str(layout.supervisor_config), "start", *later], environ)
        if "nginx" in layout.parts:
            _await("the service", lambda: _pings(layout), supervisord)
        print(f"vimeo_api stack is ready on http://{layout.host}:{layout.port} (all in {layout.data})", flush=True)
        _end_orphans_until_the_end(supervisord)
        raise StackError(f"supervisord ended by itself; see {layout.data}/log")
    except KeyboardInterrupt:
        return 0
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        supervisord.terminate()
        supervisord.wait()
        _end_orphans(supervisord)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _end_orphans_until_the_end(supervisord: "subprocess.Popen[bytes]") -> None:
    """Poll for orphans until supervisord ends, because the kernel does not notify us of new ones."""
    while supervisord.poll() is None:
        _end_orphans(supervisord)
        time.sleep(ORPHAN_SECONDS)  # Popen.wait would look at it twenty times a second


def _end_orphans(supervisord: "subprocess.Popen[bytes]") -> None:
    """Kill what a killed part leaves behind: the workers of a killed nginx would keep its port busy."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    for pid in {int(child) for child in children} - {supervisord.pid}:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _check_free(bind: str, port: int) -> None:
    """Raise StackError if BIND and PORT are not free: another listener would answer our requests."""
    if port == 0:
        raise StackError("PORT=0 is for `make run`; nginx needs one that is known.")
    try:
        with socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as nginx does
            probe.bind((bind, port))
    except OSError as error:
        raise StackError(f"BIND={bind} PORT={port}: nginx cannot listen there: {error.strerror}.") from error


def _check_programs(path: str) -> None:
    programs = ("nginx", "redis-server", "postgres", "initdb", "setpriv", f"{sys.prefix}/bin/uwsgi")
    if missing := [name for name in programs if not shutil.which(name, path=path)]:
        raise StackError(f"{', '.join(missing)} not found; `deploy/packages stack` installs what is missing.")


def _check_object_store(layout: Layout) -> None:
    """Raise StackError if the object store refuses us, or if nginx would find no address of its server.

    The web processes check it, too, but only their log would say so.
    """
    ours = bucket(layout.settings)
    server = urlsplit(ours.origin).hostname
    try:
        socket.getaddrinfo(server, None)
        ObjectStore(ours, layout.data / "locks" / "placing").check_access()
    except socket.gaierror:
        raise StackError(f"{ours.culprit}: {server} has no address, and nginx needs one to start.") from None
    except Refused as error:
        raise StackError(str(error)) from None
    except Unavailable:
        pass  # files wait in the spool, and the log says so


def _make_postgres(layout: Layout, environ: Mapping[str, str]) -> None:
    if not (layout.data / "postgres/PG_VERSION").exists():
        options = [f"--username={DATABASE_USER}", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
        _call(["initdb", "-D", str(layout.data / "postgres"), *options], environ)
        if layout.shared_at:
            with (layout.data / "postgres/pg_hba.conf").open("a") as file:
                file.write("host all all samenet trust\n")  # the network of the hosts, where nobody else is


def _make_database(layout: Layout) -> bool:
    """Create the database if it does not exist; return False while PostgreSQL is still starting."""
    try:
        with psycopg.connect(
            host=str(layout.run), user=DATABASE_USER, dbname="postgres", autocommit=True
        ) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'vimeo_api'").fetchone():
                connection.execute("CREATE DATABASE vimeo_api")
    except psycopg.OperationalError:
        return False
    return True


def _pings(layout: Layout) -> bool:
    connection = http.client.HTTPConnection(layout.bind, layout.port, timeout=START_SECONDS)
    try:
        connection.connect()
        if layout.balanced:
            connection.sock.sendall(b"PROXY UNKNOWN\r\n")
        connection.request("GET", "/ping")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def _await(name: str, condition: Callable[[], bool], supervisord: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if supervisord.poll() is not None or time.monotonic() > deadline:
            raise StackError(f"{name} did not start; DATA_DIR/log says why.")
        time.sleep(POLL_SECONDS)


def _call(command: list[str], environ: Mapping[str, str]) -> None:
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()}")


if __name__ == "__main__":
    sys.exit(main())
