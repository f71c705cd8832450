"""The other servers: each is started as its documentation says, without logs if it can switch them off.

All serve the same files by hard links. Each function gives a running server for the length of a block, and raises
ServerError or PackageError where it cannot.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.serving import packages
from benchmarks.serving.packages import ETC
from benchmarks.serving.place import EMPTY_NAME, LARGE_NAME, SMALL_NAME, Folder, Place
from benchmarks.serving.processes import free_port, listens, running
from benchmarks.serving.server import Server, Upload

REPOSITORY = Path(__file__).resolve().parents[2]
RANDOM_PATH = "/{uuid}"


@contextmanager
def nginx(where: Place) -> Iterator[Server]:
    """Run nginx alone: static files, `return 404`, and DAV."""
    root, run, port = where.root("nginx"), where.folder / "nginx.run", free_port()
    run.mkdir()
    words = {"@RUN@": str(run), "@ROOT@": str(root), "@PORT@": str(port)}
    words["@USER@"] = "user root;" if os.geteuid() == 0 else ""
    text = (ETC / "nginx.conf").read_text()
    for word, value in words.items():
        text = text.replace(word, value)
    (run / "nginx.conf").write_text(text)
    command = ["nginx", "-p", str(run), "-e", str(run / "error.log"), "-c", str(run / "nginx.conf")]
    with running(command, log=run / "nginx.log", ready=partial(listens, port)) as pid:
        yield _of_folder(
            root,
            port,
            pid,
            f"{_version('nginx', '-v')}, tuned as ours is, with an access log as ours has",
            missing="/gone",
            raw=Upload("PUT", f"/{EMPTY_NAME}/{{name}}", "DAV: no hash, no fsync, no database"),
        )


@contextmanager
def caddy(where: Place) -> Iterator[Server]:
    """Run the file server of caddy; it takes no uploads."""
    root, port = where.root("caddy"), free_port()
    home = {"XDG_DATA_HOME": str(where.folder / "caddy.home"), "XDG_CONFIG_HOME": str(where.folder / "caddy.home")}
    options = f":{port} {{\n  bind 127.0.0.1\n  root * {root}\n  file_server\n}}\n"
    config = where.folder / "Caddyfile"
    config.write_text(f"{{\n  admin off\n  auto_https off\n}}\n{options}")
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)]
    with _listening(command, "caddy", where, port, environ=home) as pid:
        yield _of_folder(root, port, pid, f"{_version('caddy', 'version')}, `file_server`")


@contextmanager
def copyparty(where: Place) -> Iterator[Server]:
    """Run copyparty: quiet, without an index of files."""
    root, port, home = where.root("copyparty"), free_port(), where.folder / "copyparty.home"
    home.mkdir()
    program = packages.python() / "python"
    options = ["-q", "-i", "127.0.0.1", "-p", str(port), "-nc", "4096", "--http-only", "--hist", str(home)]
    command = [str(program), "-m", "copyparty", *options, "-v", f"{root}::rwd"]
    with _listening(command, "copyparty", where, port, environ={"XDG_CONFIG_HOME": str(home)}) as pid:
        yield _of_folder(
            root,
            port,
            pid,
            f"{_pip_version('copyparty')}, `-q -nc 4096 --http-only`",
            raw=Upload("PUT", f"/{EMPTY_NAME}/{{name}}", "a SHA-512; no fsync, no database"),
            form=Upload(
                "POST", f"/{EMPTY_NAME}/", "a SHA-512; no fsync, no database", part="f", fields={"act": "bput"}
            ),
        )


@contextmanager
def uploadserver(where: Place) -> Iterator[Server]:
    """Run Python's own http.server with uploads; each request has a new connection."""
    root, port = where.root("uploadserver"), free_port()
    program = packages.python() / "python"
    command = [str(program), "-m", "uploadserver", str(port), "--bind", "127.0.0.1", "--directory", str(root)]
    with _listening(command, "uploadserver", where, port) as pid:
        yield _of_folder(
            root,
            port,
            pid,
            f"{_pip_version('uploadserver')}, logs to a file",
            form=Upload("POST", "/upload", "no hash, no fsync, no database", part="files"),
        )


@contextmanager
def wsgidav(where: Place) -> Iterator[Server]:
    """Run WsgiDAV on cheroot."""
    root, port, config = where.root("wsgidav"), free_port(), where.folder / "wsgidav.json"
    options = {
        "host": "127.0.0.1",
        "port": port,
        "provider_mapping": {"/": str(root)},
        "simple_dc": {"user_mapping": {"*": True}},
        "verbose": 1,
        "logging": {"enable": False},
    }
    config.write_text(json.dumps(options))
    command = [str(packages.python() / "wsgidav"), "--config", str(config)]
    with _listening(command, "wsgidav", where, port) as pid:
        yield _of_folder(
            root,
            port,
            pid,
            f"{_pip_version('wsgidav')} on cheroot {_pip_version('cheroot')}, logging off",
            raw=Upload("PUT", f"/{EMPTY_NAME}/{{name}}", "no hash, no fsync, no database"),
        )


@contextmanager
def tus(where: Place) -> Iterator[Server]:
    """Run @tus/server; its downloads are left out, for with Node 20 a GET ends the process."""
    root, port, folder = where.root("tus"), free_port(), packages.node()
    command = ["node", str(ETC / "tus.mjs"), str(port), str(root)]
    with _listening(command, "tus", where, port, cwd=folder) as pid:
        versions = json.loads((folder / "package.json").read_text())["dependencies"]
        headers = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
        yield Server(
            name="@tus/server",
            origin=f"http://127.0.0.1:{port}",
            roots=(pid,),
            setup=f"{versions['@tus/server']} on Node {_version('node', '--version')}; its downloads are left out: "
            "a GET ends its process",
            gets="",
            raw=Upload(
                "POST",
                "/files/",
                "creation with upload in one request, a JSON file beside it; no hash, no fsync, no database",
                headers={**headers, "Upload-Length": "{bytes}"},
            ),
            uploads=Folder(root),
        )


@contextmanager
def classic(where: Place, front: Server, database_url: str, database: Sequence[int]) -> Iterator[Server]:
    """Run the classic app behind the nginx that is there, on a database that is there."""
    root, run = where.folder / front.name, where.folder / f"{front.name}.run"
    environ = {"CLASSIC_DATABASE_URL": database_url, "CLASSIC_ROOT": str(root)}
    subprocess.run(
        [sys.executable, "-m", "benchmarks.serving.classic"],
        env={**os.environ, **environ},
        cwd=REPOSITORY,
        check=True,
    )
    socket = run / "classic.sock"
    command = [f"{sys.prefix}/bin/uwsgi", "--ini", str(ETC / "classic.ini"), "--socket", str(socket)]
    command += ["--virtualenv", sys.prefix]
    with running(command, log=run / "classic.log", ready=socket.exists, environ=environ, cwd=REPOSITORY) as pid:
        yield Server(
            name="classic",
            origin=front.origin,
            roots=(*front.roots, pid, *database),
            setup="Flask-SQLAlchemy's session, Werkzeug's form parser, behind the same nginx, uWSGI and PostgreSQL",
            gets="session.get",
            form=Upload("POST", "/classic/file", "Werkzeug's parser, a row committed; no hash, no fsync", part="file"),
            uploads=Folder(root),
        )


def _of_folder(
    root: Path,
    port: int,
    pid: int,
    setup: str,
    *,
    missing: str = RANDOM_PATH,
    raw: Upload | None = None,
    form: Upload | None = None,
) -> Server:
    """Return the server of a folder that is named after it: paths are those of the files."""
    return Server(
        name=root.name,
        origin=f"http://127.0.0.1:{port}",
        roots=(pid,),
        setup=setup,
        gets="the filesystem",
        uploads=Folder(root),
        small=f"/{SMALL_NAME}",
        large=f"/{LARGE_NAME}",
        missing=missing,
        raw=raw,
        form=form,
    )


@contextmanager
def _listening(
    command: Sequence[str],
    name: str,
    where: Place,
    port: int,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[int]:
    log = where.folder / f"{name}.log"
    with running(command, log=log, ready=partial(listens, port), environ=environ, cwd=cwd) as pid:
        yield pid


def _version(*command: str) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "of an unknown version"


def _pip_version(package: str) -> str:
    found = re.search(rf"^{package}==(\S+)", (ETC / "requirements.txt").read_text(), re.MULTILINE)
    return found[1] if found else "of an unknown version"
