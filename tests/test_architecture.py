"""The code base as a whole: imports, queues, documents and deployment files agree with each other."""

import ast
import re
import subprocess
import sys

import yaml
from flask import Flask

import celeryconfig
from tests.services import ROOT
from vimeo_api.core.database.models import Status
from vimeo_api.core.files.lifecycle import Move
from vimeo_api.views import SURFACES

SOURCES = sorted((ROOT / "vimeo_api").rglob("*.py"))
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]

UNIT_FILES = ROOT / "deploy/systemd"
SHARED = UNIT_FILES / "vimeo_api-.service.d/10-common.conf"
UNITS = {
    *(path.name for path in UNIT_FILES.glob("*.service") if "@" not in path.name),
    *(path.name.removesuffix(".d") for path in UNIT_FILES.glob("*@?*.service.d")),
}


def unit(name: str) -> list[str]:
    """Return the lines of a unit in systemd's order: its file, the shared drop-in, its instance's drop-in."""
    paths = [UNIT_FILES / re.sub("@.*[.]", "@.", name), SHARED, *(UNIT_FILES / f"{name}.d").glob("*.conf")]
    instance = name.partition("@")[2].removesuffix(".service")
    return [line.replace("%i", instance) for path in paths for line in path.read_text().splitlines()]


def value(lines: list[str], name: str) -> str:
    """Return the last value of a directive."""
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")][-1]


def test_imports_point_one_way() -> None:
    done = subprocess.run([f"{sys.prefix}/bin/lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_import_hides_in_a_function() -> None:
    for path in SOURCES:
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                hidden = [node for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]
                assert not hidden, f"{path}:{function.name}"


def test_the_environment_is_read_in_one_place() -> None:
    # The embedded server passes its environment on to its child.
    allowed = {ROOT / "vimeo_api/config", ROOT / "vimeo_api/embedded/worker.py"}
    found = {path for path in SOURCES if re.search(r"os\.environ|getenv|BaseSettings", path.read_text())}
    assert {path.parent if path.parent.name == "config" else path for path in found} <= allowed


def test_every_task_has_a_queue_and_every_queue_a_task(app: Flask) -> None:
    celery = app.extensions["celery"]
    celery.loader.import_default_modules()
    ours = {name for name in celery.tasks if name.startswith("vimeo_api.")}
    assert ours == set(celeryconfig.task_routes)
    assert {route["queue"] for route in celeryconfig.task_routes.values()} == {q.name for q in celeryconfig.task_queues}
    assert {entry["task"] for entry in celeryconfig.beat_schedule.values()} <= ours


def test_every_status_can_be_reached_and_left() -> None:
    assert {move.end for move in Move} == set(Status)
    assert {start for move in Move for start in move.starts} == set(Status) - {Status.GONE}


def test_the_rows_of_files_change_in_one_place() -> None:
    files = ROOT / "vimeo_api/core/files"
    found = {(path, words) for path in SOURCES for words in writes_to_files(path.read_text())}
    assert found
    assert {(path.name, words) for path, words in found if path.parent != files} == set()


def test_a_status_changes_by_the_table_of_moves() -> None:
    """Only `moving` sets a status with an UPDATE; `catalog` sets the first one of a new row."""
    named = {path.name for path in SOURCES if "core" in path.parts and sets_status(path.read_text())}
    assert named == {"lifecycle.py", "catalog.py"}


def sets_status(source: str) -> bool:
    """Return whether a module has a value for `status`: by name, by column, or as an attribute of a row."""
    for node in ast.walk(ast.parse(source)):
        keys: list[ast.expr | None] = []
        if isinstance(node, ast.Dict):
            keys = node.keys
        elif isinstance(node, ast.Assign):
            keys = [target for target in node.targets if isinstance(target, ast.Attribute)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {"values", "dict", "moving"}:
            keys = [ast.Constant(keyword.arg) for keyword in node.keywords]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"setattr", "bindparam"}:
            keys = [*node.args[:2]]
        texts = {ast.unparse(key) for key in keys if key} - {"self.status"}
        if any(text.endswith((".status", "'status'")) for text in texts):
            return True
    return False


def writes_to_files(source: str) -> list[str]:
    """Return what in a module may write to the table `files`: with SQLAlchemy, its ORM, or SQL text."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            verb = ast.unparse(node.func).rpartition(".")[2]
            about = ast.unparse(node.args[0]) if node.args else ast.unparse(node.func)
            if verb in {"update", "insert", "insert_new", "delete"} and re.search(
                r"\bFile\b(?!\.[a-z])|\[.files.\]", about
            ):
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Attribute) and ast.unparse(node).endswith("db.session"):
            found.append(ast.unparse(node))
        elif isinstance(node, ast.ImportFrom):
            found += [name.name for name in node.names if (name.name in {"File", "db"} and name.asname)]
            found += [name.name for name in node.names if node.module == "sqlalchemy.orm" and name.name in SESSIONS]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += re.findall(SQL, node.value)
    return found


SESSIONS = {"Session", "sessionmaker", "scoped_session"}
# Or a piece of an f-string, with the name of a table after it.
SQL = re.compile(r"(?i:\b(?:UPDATE|INSERT\s+INTO|DELETE\s+FROM)\s+\"?files\b)|(?:UPDATE|INTO|DELETE FROM) $")


def test_writes_are_found_in_every_form() -> None:
    for line in WRITES.splitlines():
        assert len(writes_to_files(line)) == 1, line
    for line in STATUSES.splitlines():
        assert sets_status(line), line


WRITES = """update(File).values(size=1)
sqlalchemy.delete(models.File)
insert(File)
statements.insert_new(File)
File.__table__.update()
update(File.__table__)
Base.metadata.tables['files'].update()
db.session.get(File, 1)
extensions.db.session.execute(changed)
from vimeo_api.extensions import db as database
from sqlalchemy.orm import Session
from vimeo_api.core.database.models import File as Row
text("UPDATE files SET size = 1")
text(f"UPDATE {File.__tablename__} SET size = 1")
text("delete from files")
"""

STATUSES = """update(File).values(status=Status.GONE)
update(File).values({"status": Status.GONE})
update(File).values({File.status: Status.GONE})
update(File).values(**dict(status=Status.GONE))
file.status = Status.GONE
setattr(file, "status", Status.GONE)
"""


def test_no_two_surfaces_own_a_path(app: Flask) -> None:
    segments = [segment for surface in SURFACES for segment in surface.first_segments]
    assert len(segments) == len(set(segments))
    for rule in app.url_map.iter_rules():
        assert rule.rule.lstrip("/").split("/", 1)[0] in {*segments, "static"}, rule


def test_the_environment_example_is_what_the_stack_reads() -> None:
    example = (ROOT / "deploy/env.example").read_text()
    names = set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))
    assert names == {"PROFILE", "DATA_DIR", "DATABASE_URL", "BROKER_URL", "CACHE_URL", "NGINX_STATUS"}


def test_a_shell_reads_the_environment_example_as_systemd_does() -> None:
    script = 'set -eu; . deploy/env.example; printf %s "$DATABASE_URL"'
    said = subprocess.run(["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said == "postgresql+psycopg:///vimeo_api?host=/var/run/postgresql&user=www-data"


def test_units_stack_and_containers_run_the_same_commands() -> None:
    supervisor = (ROOT / "deploy/supervisor/stack.conf").read_text()
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    contained = {f"/srv/vimeo_api/{' '.join(one.get('command', []))}" for one in services}
    for name in UNITS - {"vimeo_api-migrate.service"}:  # the stack migrates by itself
        lines = unit(name)
        command = value(lines, "ExecStart")
        environ = dict(re.findall(r"(\w+)=(\S+)", " ".join(lines).replace("Environment=", "")))
        for variable in re.findall(r"\$\{(\w+)\}", command):
            command = command.replace(f"${{{variable}}}", environ[variable])
        assert command.replace("/srv/vimeo_api/deploy", "deploy") in contained, f"{name}: {command}"
        words = command.replace("/srv/vimeo_api/deploy/uwsgi", "/etc/uwsgi")
        assert f"{words}\n" in supervisor, f"{name}: {words}"


def test_the_target_wants_every_unit() -> None:
    target = (ROOT / "deploy/systemd/vimeo_api.target").read_text()
    (wanted,) = re.findall("^Wants=(.*)$", target, re.MULTILINE)
    assert {*wanted.split()} == UNITS - {"vimeo_api-migrate.service"}  # the other units want it


def test_every_unit_gets_the_secrets_and_starts_after_the_migration() -> None:
    for name in UNITS:
        lines = unit(name)
        for secret in ("secret_key", "sealing_keys"):
            assert f"LoadCredential={secret}:/etc/vimeo_api/secrets/{secret}" in lines, name
        if "migrate" not in name:
            assert "Wants=vimeo_api-migrate.service" in lines, name
            assert "After=vimeo_api-migrate.service" in lines, name


def test_no_unit_repeats_a_setting_of_the_shared_drop_in() -> None:
    # systemd reads the shared drop-in last, so a unit's own setting would not count.
    shared = {line.split("=")[0] for line in SHARED.read_text().splitlines() if "=" in line and line[0] != "#"}
    for path in [*UNIT_FILES.glob("*.service"), *UNIT_FILES.glob("vimeo_api-worker@*/*")]:
        names = {line.split("=")[0] for line in path.read_text().splitlines() if "=" in line}
        assert names & shared <= {"After"}, path.name  # a list: each line adds to it


def test_no_other_user_enters_a_folder_of_sockets() -> None:
    units = [path.read_text().splitlines() for path in (ROOT / "deploy/systemd").rglob("*") if path.is_file()]
    made = [lines for lines in units if any(line.startswith("RuntimeDirectory=") for line in lines)]
    assert len(made) == 2
    assert all({"RuntimeDirectoryMode=0700", "RuntimeDirectoryMode=0750"} & set(lines) for lines in made)


def test_no_location_whose_paths_or_queries_may_be_secret_logs_them_with_an_error() -> None:
    files = [path.read_text() for path in (ROOT / "deploy/nginx/vimeo_api/locations").iterdir()]
    locations = re.findall(r"^location ([^{]+) \{(.*?)^}", "".join(files), re.MULTILINE | re.DOTALL)
    assert len(locations) == "".join(files).count("\nlocation ")
    assert len(locations) > 10
    open_ones = {name for name, body in locations if "include /etc/nginx/vimeo_api/secret.conf;" not in body}
    # A subrequest uses its request's log.
    assert open_ones == {"= /ping", "= /healthz", "= /readyz", "= /metrics", "/static/", "= /_admit"}


def test_the_site_includes_all_its_parts() -> None:
    site = (ROOT / "deploy/nginx/vimeo_api.conf").read_text()
    included = set(re.findall(r"include /etc/nginx/vimeo_api/((?:maps|locations)/\w+\.conf);", site))
    folder = ROOT / "deploy/nginx/vimeo_api"
    assert included == {str(path.relative_to(folder)) for path in folder.glob("*/*.conf")}


def test_documents_name_files_that_exist() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_documents_name_targets_that_make_knows() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"(?:`|^)make ([a-z-]+)", document.read_text(), re.MULTILINE))
        assert named <= targets, f"{document.name}: {named - targets}"


def test_documents_link_to_headings_that_exist() -> None:
    for document in DOCUMENTS:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)", document.read_text()):
            headings = re.findall(
                r"^#+ (.+)$", (document.parent / target if target else document).read_text(), re.MULTILINE
            )
            anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{document.name}: {target}#{anchor}"


def test_documents_name_modules_that_exist() -> None:
    modules = [path.relative_to(ROOT).as_posix() for path in [*SOURCES, *(ROOT / "tests").rglob("*.py")]]
    for document in DOCUMENTS:
        for name in re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", document.read_text()):
            found = (ROOT / name).exists() or any(f"/{module}".endswith(f"/{name}") for module in modules)
            assert found, f"{document.name}: {name}"


def test_no_line_of_a_paragraph_becomes_a_list() -> None:
    for document in DOCUMENTS:
        text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
        assert re.findall(r"^[^\s|#-].*\n(?:[+*>] .*|1[.)] .*)$", text, re.MULTILINE) == [], document.name
