"""The production parts on this machine, in the foreground: `make stack`.

nginx → unix socket → uWSGI, PostgreSQL, two Redis, Celery worker and beat, from the very files in deploy/: only
the paths of a host in them are moved below DATA_DIR, and nginx listens on PORT. Runs as any user. As root it first
becomes `www-data`, for PostgreSQL refuses root, and keeps the right to reach folders that only root may enter.
"""

import ctypes
import hashlib
import http.client
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from vimeo_api import config  # noqa: E402 -- a script: the checkout is not installed
from vimeo_api.config import secret  # noqa: E402
from vimeo_api.service_commands.nginx import body_limit  # noqa: E402

SERVICE_USER = "www-data"
START_SECONDS = 60
ORPHAN_SECONDS = 0.5  # between two looks for processes whose own part has died
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
MAX_SOCKET_FOLDER = 80  # characters; unix(7) gives a socket's path 108 bytes, file name included
CONFIGS = {
    "nginx/nginx.conf": "/etc/nginx/nginx.conf",
    "nginx/vimeo_api.conf": "/etc/nginx/conf.d/vimeo_api.conf",
    "nginx/vimeo_api": "/etc/nginx/vimeo_api",
    "nginx/http/listen.conf": "/etc/nginx/vimeo_api/listen.conf",
    "uwsgi/vimeo_api.ini": "/etc/uwsgi/vimeo_api.ini",
    "redis/redis-broker.conf": "/etc/redis/redis-broker.conf",
    "redis/redis-cache.conf": "/etc/redis/redis-cache.conf",
    "supervisor/stack.conf": "/etc/supervisor/stack.conf",
}


class StackError(Exception):
    """The stack cannot start; the message says why."""


@dataclass(frozen=True)
class Layout:
    """Where this stack keeps what on a host lies in /etc, /run and /var."""

    bind: str
    port: int
    data: Path
    run: Path
    settings: config.Settings

    @property
    def moved(self) -> dict[str, str]:
        """The paths and words of a host, and what stands for them here; longer ones first."""
        return {
            "listen 80 ": f"listen {self.bind}:{self.port} ",
            **{place: str(self.etc(place)) for place in CONFIGS.values()},
            "/run/redis-broker": f"{self.run}/redis-broker",
            "/run/redis-cache": f"{self.run}/redis-cache",
            "/run/vimeo_api-nginx": str(self.run / "nginx"),
            "/run/vimeo_api": str(self.run),
            "/var/log/vimeo_api": str(self.data / "log"),
            "/var/lib/vimeo_api/store": str(self.settings.store_dir),
            "/var/lib/vimeo_api/incoming": str(self.settings.spool_dir),
            "/var/lib/vimeo_api": str(self.data),
            "/var/lib/redis": str(self.data / "redis"),
            "/srv/vimeo_api/.venv": sys.prefix,
            "/srv/vimeo_api": str(ROOT),
        }

    def etc(self, place: str) -> Path:
        """Return where the configuration file of a host's place lies here."""
        return self.data / place.lstrip("/")

    def environ(self) -> dict[str, str]:
        """Return the environment of all the parts: deploy/env.example, moved, over what we were given."""
        settings = dict(line.split("=", 1) for line in _lines(ROOT / "deploy/env.example"))
        settings = {name: self.move(value.strip('"')) for name, value in settings.items()}
        settings["SECRET_KEY"] = self.settings.secret_key or secret.secret_key(self.data)
        settings["SEALING_KEYS"] = self.settings.sealing_keys or secret.sealing_keys(self.data)
        settings["DATABASE_URL"] = f"postgresql+psycopg:///vimeo_api?host={self.run}&user=vimeo_api"
        paths = [*sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True), "/usr/sbin"]
        path = os.pathsep.join([os.environ["PATH"], *paths])
        return {**os.environ, **settings, "PATH": path, "PYTHONUNBUFFERED": "1"}

    def move(self, text: str) -> str:
        """Return text with the paths of a host replaced by ours."""
        # Through a mark no file holds, so that what has been moved is not moved again.
        marks = {f"\0{number}\0": ours for number, ours in enumerate(self.moved.values())}
        for mark, theirs in zip(marks, self.moved, strict=True):
            text = text.replace(theirs, mark)
        for mark, ours in marks.items():
            text = text.replace(mark, ours)
        return text


def main() -> int:
    """Run the stack until SIGINT or SIGTERM; return the exit status."""
    data = Path(os.environ.get("DATA_DIR") or "data").absolute()
    bind = os.environ.get("BIND") or "127.0.0.1"
    data.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        _become_service_user()
    try:
        return run(Layout(bind, _free_port(bind), data, _run_folder(data), config.load()))
    except config.ConfigError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    except StackError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1


def _free_port(bind: str) -> int:
    """Return PORT. Raises StackError if it is none, or taken: whoever has it would answer in our place."""
    words = os.environ.get("PORT") or "8080"
    try:
        port = int(words)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as nginx does
            probe.bind((bind, port))
    except (ValueError, OverflowError):
        raise StackError(f"PORT={words} is no port.") from None
    except OSError as error:
        raise StackError(
            f"{bind}:{words} cannot be listened on: {error.strerror or error}. PORT chooses another."
        ) from error
    return port


def run(layout: Layout) -> int:
    """Start all parts in order, say when they serve, and stop them all at the end."""
    environ = layout.environ()
    _check_programs(environ["PATH"])
    _write_configs(layout)
    _init_postgres(layout, environ)
    # From here on a signal ends the stack in good order, wherever it has got to.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    # Processes whose part was killed become children of ours, as on a host they stay in the unit's cgroup.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    supervisord = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "--", f"{sys.prefix}/bin/supervisord", "-c", _supervisor_config(layout)],
        env=environ,
        start_new_session=True,  # Ctrl-C is for us; we stop the parts
    )
    try:
        _start_parts(layout, environ, supervisord)
        print(f"vimeo_api stack is ready on http://{layout.bind}:{layout.port} (all in {layout.data})", flush=True)
        while supervisord.poll() is None:
            _end_orphans(supervisord)
            time.sleep(ORPHAN_SECONDS)  # the kernel does not tell of an adoption
        raise StackError(f"supervisord ended by itself; see {layout.data}/log")
    except KeyboardInterrupt:
        return 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        supervisord.terminate()
        supervisord.wait()
        _end_orphans(supervisord)


def _end_orphans(supervisord: "subprocess.Popen[bytes]") -> None:
    """Kill what a part that died has left behind: nginx's workers would hold its port against the next one."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    for pid in {int(child) for child in children} - {supervisord.pid}:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _end(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _become_service_user() -> None:
    """Run this program again as an ordinary user that may pass through every folder, capabilities(7)."""
    user = pwd.getpwnam(SERVICE_USER)
    os.environ.update(HOME="/", USER=SERVICE_USER, LOGNAME=SERVICE_USER)
    rights = ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    ids = ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    os.execvp("setpriv", ["setpriv", *ids, *rights, "--", sys.executable, *sys.argv])


def _run_folder(data: Path) -> Path:
    """Return the folder of sockets: DATA_DIR/run, unless its path is too long for a socket."""
    folder = data / "run"
    if len(str(folder)) > MAX_SOCKET_FOLDER:
        folder = Path(tempfile.gettempdir()) / f"vimeo_api-{hashlib.sha256(bytes(data)).hexdigest()[:12]}"
    return folder


def _check_programs(path: str) -> None:
    programs = ("nginx", "redis-server", "postgres", "initdb", "setpriv", f"{sys.prefix}/bin/uwsgi")
    if missing := [name for name in programs if not shutil.which(name, path=path)]:
        raise StackError(f"{', '.join(missing)} not found; `deploy/packages stack` installs what is missing.")


def _write_configs(layout: Layout) -> None:
    _make_run_folder(layout.run)
    for name in ("redis-broker", "redis-cache", "nginx"):
        (layout.run / name).mkdir(mode=0o700, exist_ok=True)
    folders = [layout.data / name for name in ("log", "redis", "journal")]
    for folder in (*folders, layout.settings.store_dir, layout.settings.spool_dir):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for source, place in CONFIGS.items():
        _write_moved(layout, ROOT / "deploy" / source, layout.etc(place))
    (layout.etc(CONFIGS["nginx/vimeo_api"]) / "body_limit.conf").write_text(f"{body_limit(layout.settings)}\n")


def _write_moved(layout: Layout, source: Path, target: Path) -> None:
    """Write a configuration file, or all those of a folder, with our paths in it."""
    if source.is_dir():
        for path in source.iterdir():
            _write_moved(layout, path, target / path.name)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(layout.move(source.read_text()))


def _make_run_folder(folder: Path) -> None:
    """Close the folder to others: its sockets believe whoever speaks to them. Raises StackError if it is not ours."""
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        folder.chmod(0o700)  # one in /tmp may have been made by anybody
    except PermissionError:
        raise StackError(f"{folder} belongs to somebody else.") from None


def _init_postgres(layout: Layout, environ: Mapping[str, str]) -> None:
    if not (layout.data / "postgres" / "PG_VERSION").exists():
        options = ["--username=vimeo_api", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
        _call(["initdb", "-D", str(layout.data / "postgres"), *options], environ)


def _start_parts(layout: Layout, environ: Mapping[str, str], supervisord: "subprocess.Popen[bytes]") -> None:
    database = ["-h", str(layout.run), "-U", "vimeo_api"]
    ready = ["psql", *database, "-qAtc", "SELECT 1", "postgres"]
    _await(
        "PostgreSQL",
        lambda: subprocess.run(ready, env=environ, capture_output=True, check=False).returncode == 0,
        supervisord,
    )
    exists = _call(
        ["psql", *database, "-qAtc", "SELECT 1 FROM pg_database WHERE datname = 'vimeo_api'", "postgres"], environ
    )
    if not exists.strip():
        _call(["createdb", *database, "vimeo_api"], environ)
    _call([sys.executable, str(ROOT / "manage.py"), "db", "upgrade", "-d", str(ROOT / "migrations")], environ)
    supervisorctl(
        layout, "start", *(f"stack:{part}" for part in ("web", "worker", "fetcher", "placer", "beat", "nginx"))
    )
    _await("the service", lambda: _pings(layout), supervisord)


def supervisorctl(layout: Layout, *words: str) -> str:
    """Tell supervisord something, as `supervisorctl` does; return what it says."""
    return _call([f"{sys.prefix}/bin/supervisorctl", "-c", _supervisor_config(layout), *words], os.environ)


def _supervisor_config(layout: Layout) -> str:
    return str(layout.etc(CONFIGS["supervisor/stack.conf"]))


def _pings(layout: Layout) -> bool:
    connection = http.client.HTTPConnection(layout.bind, layout.port, timeout=START_SECONDS)
    try:
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
        time.sleep(0.05)


def _call(command: list[str], environ: Mapping[str, str]) -> str:
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


if __name__ == "__main__":
    sys.exit(main())
