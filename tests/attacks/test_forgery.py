"""Forgery: clients send headers that only nginx may send, and request locations that only nginx may use."""

import json
import os
import secrets
from pathlib import Path

import pytest
import requests

from tests.attacks.wire import ask
from tests.services import Service

pytestmark = pytest.mark.usefixtures("unharmed")

NAMES = ["X-Body-File", "X-Admit", "X-Announced", "X-Fresh", "X-Reserved", "X-Ticket", "X-Request-Id", "Content-Type"]
INTERNAL = [
    "/_once/store/vimeo/aa/x",
    "/_any/store/streams/aa/x",
    "/_any/store/",
    "/_any/small/",
    "/_any/landing/",
    "/_inner",
    "/_admit",
    "/_worded/json",
    "/_worded/text",
    "/_worded/vimeo",
    "/@fresh",
    "/@admitted",
]
SECRETS = (b"root:", b"SECRET", b"[uwsgi]", b"import ")


def variants(path: str) -> list[str]:
    """Return other spellings of a path."""
    encoded = path.replace("_", "%5f").replace("@", "%40")
    return [
        path,
        encoded,
        f"/.{path}",
        f"/x/..{path}",
        f"/{path}",
        f"{path}/",
        f"{path}?x",
        path.replace("/_", "/%2e/_"),
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spelling", ["{}", "HTTP_{}", "uwsgi-{}"])
def test_no_client_header_overrides_a_parameter_of_nginx(service: Service, name: str, spelling: str) -> None:
    known = next(path for path in service.data.rglob("*") if path.is_file())
    for spelt in {name, name.replace("-", "_"), name.upper().replace("-", "_")}:
        field = f"{spelling.format(spelt)}: {known if 'File' in name else 1}"
        answer = ask(service, "/v1/streams", field, method="POST", body=b"mine")
        assert answer.status == 201
        stream = f"/v1/streams/{json.loads(answer.body)['id']}"
        for _ in range(3):
            assert ask(service, stream, field).body == b"mine"
        assert ask(service, stream, method="DELETE").status == 200
        assert ask(service, stream, field).status == 404


@pytest.mark.parametrize("name", ["X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Buffering", "X-Sendfile"])
def test_no_client_header_is_taken_for_a_response_header(service: Service, name: str) -> None:
    for value in ("/_any/store/", "/etc/passwd", "600"):
        answer = ask(service, f"/v1/streams/{secrets.token_hex(8)}", f"{name}: {value}")
        assert answer.status == 404
        assert name.lower() not in answer.headers


@pytest.mark.parametrize("path", INTERNAL)
def test_internal_locations_are_404_for_clients(service: Service, path: str) -> None:
    for target in variants(path):
        answer = ask(service, target)
        assert answer.status in {400, 404}, target
        assert "x-accel-redirect" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_internal_locations_are_closed_to_every_method(service: Service, method: str) -> None:
    for path in INTERNAL:
        assert ask(service, path, method=method).status in {400, 404, 405}, path


def test_a_one_time_file_can_only_be_read_by_its_link(service: Service) -> None:
    before = service.stored()
    link = requests.put(service.vimeo, files={"file": ("f.txt", b"only once")}, timeout=60).json()["url"]
    (path,) = service.stored() - before
    below = path.relative_to(service.data / "store")
    for place in (
        f"/_once/store/{below}",
        f"/_any/store/{below}",
        f"/_any/small/{below}",
        f"/store/{below}",
        f"/static/../store/{below}",
    ):
        for target in variants(place):
            assert b"only once" not in ask(service, target).body, target
    assert requests.get(link, timeout=60).content == b"only once"


@pytest.mark.parametrize("room", ["/static/", "/download/", "/v1/streams/", "/upload/", "/vimeo/api/v1.0/file/", "/"])
@pytest.mark.parametrize(
    "step",
    [
        "../",
        "..%2f",
        "%2e%2e/",
        "%2e%2e%2f",
        "..\\",
        "..%5c",
        "....//",
        "..;/",
        "..%00/",
        "%252e%252e%252f",
        "..%c0%af",
    ],
)
def test_no_path_escapes_its_folder(service: Service, room: str, step: str) -> None:
    for goal in ("etc/passwd", "vimeo_api/config.py"):
        for depth in (1, 6):
            answer = ask(service, f"{room}{step * depth}{goal}")
            assert answer.status in {400, 403, 404, 405}, (room, step, depth)
            assert not any(words in answer.body for words in SECRETS)


def test_a_dot_segment_is_refused_whatever_it_leads_to(service: Service) -> None:
    stored = service.stored()
    for target in (
        "/upload/..",
        "/upload/.",
        "/upload/%2E%2e",
        "/v1/./streams",
        "/v1/streams/.%2e/streams",
        "/x/../ping",
        "/x%2f..%2fping",
        "/static/../ping",
        "/uploads/streams/../vimeo",
        "/ping/..?x",
        "/ping/..#x",
        "http://attacked.example/x/../ping",
    ):
        for method in ("GET", "POST"):
            assert ask(service, target, method=method, body=b"abc").status == 400, (method, target)
    assert service.stored() == stored
    # Names may begin and end with dots, and a query is no path.
    for name in ("..dots.txt", ".dots.txt", "dots...txt"):
        assert ask(service, f"/upload/{name}", method="POST", body=b"abc").status == 201
        assert ask(service, f"/download/{name}?/../").body == b"abc"
    assert {ask(service, f"/download/{name}").status for name in ("...", "..a", "a..", ".a/")} == {404}


@pytest.mark.parametrize("room", ["/static../", "/static", "//static/", "/static/./../", "/static/a/"])
def test_the_static_folder_serves_only_its_own_files(service: Service, room: str) -> None:
    for goal in ("config.py", "app.py", "../vimeo_api/config.py"):
        assert ask(service, f"{room}{goal}").status in {400, 404}


@pytest.mark.parametrize(
    "resume_token", ["0" * 32, "", "a" * 5000, "1:" + "0" * 32 + ":1", "%00", "'; --", "\N{SNOWMAN}", "None"]
)
def test_a_forged_resume_token_is_refused(service: Service, resume_token: str) -> None:
    answer = requests.put(service.vimeo, files={"file": ("f.txt", b"once")}, timeout=60)
    path = answer.json()["url"].removeprefix(service.url)
    with requests.get(service.url + path, timeout=60) as first:
        assert first.content == b"once"
        mine = first.headers["X-Download-Grant"]
    assert ask(service, path, f"X-Download-Grant: {resume_token}").status in {410, 423}
    assert ask(service, path, f"X_Download_Grant: {mine}").status in {410, 423}
    assert ask(service, path, f"X-Download-Grant: {mine}").body == b"once"


def test_a_resume_token_is_valid_for_one_file_only(service: Service) -> None:
    first, second = (
        requests.put(service.vimeo, files={"file": ("f.txt", b"%d" % n)}, timeout=60).json()["url"] for n in range(2)
    )
    resume_tokens = [requests.get(link, timeout=60).headers["X-Download-Grant"] for link in (first, second)]
    for link, other in zip((first, second), reversed(resume_tokens), strict=True):
        assert requests.get(link, headers={"X-Download-Grant": other}, timeout=60).status_code in {410, 423}


def test_a_forged_receipt_is_refused(service: Service) -> None:
    queue = f"{service.url}/v1/queues/{secrets.token_hex(4)}"
    stream = requests.post(f"{queue}/streams", data=b"x", timeout=60).json()["id"]
    taken = requests.post(f"{queue}/take", timeout=60).json()
    assert taken["id"] == stream
    for receipt in ("", "0" * 32, taken["receipt"].upper() + "0", taken["receipt"][:-1], "None", "%", "' OR 1=1 --"):
        gone = requests.delete(f"{queue}/streams/{stream}", params={"receipt": receipt}, timeout=60)
        assert gone.status_code in {404, 409}, receipt
    other = f"{service.url}/v1/queues/other/streams/{stream}"
    assert requests.delete(other, params={"receipt": taken["receipt"]}, timeout=60).status_code == 404
    own = f"{queue}/streams/{stream}"
    assert requests.delete(own, params={"receipt": taken["receipt"]}, timeout=60).status_code == 200


def test_symbolic_links_in_the_store_or_spool_are_not_followed(service: Service, tmp_path: Path) -> None:
    """Only the service's own user could plant one; what it points to stays where it is all the same."""
    secret = tmp_path / "secret"
    secret.write_text("the secret")
    os.chmod(secret, 0o644)  # noqa: PTH101
    before = service.stored()
    answer = requests.post(f"{service.url}/v1/streams", data=b"mine", timeout=60)
    (path,) = service.stored() - before
    path.unlink()
    path.symlink_to(secret)
    stream = f"{service.url}/v1/streams/{answer.json()['id']}"
    for _ in range(3):
        found = requests.get(stream, timeout=60)
        assert "the secret" not in found.text
        assert found.status_code in {404, 503}
    assert requests.delete(stream, timeout=60).status_code == 200
    assert secret.read_text() == "the secret"
