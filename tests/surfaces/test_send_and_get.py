"""The client, as a module and as the commands `send` and `get`, against the service and over a bad connection."""

import fcntl
import os
import random
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.commands.running import refused
from tests.origin import Origin, Page, noise
from tests.services import Service, used_up
from tests.surfaces.vimeo import MIB, PASSWORD
from vimeo_api.cli import cli
from vimeo_api.client import (
    Client,
    Damaged,
    Exists,
    Gone,
    InUse,
    NotFound,
    PasswordRefused,
    Refused,
    Unreachable,
    Unreadable,
    session,
)
from vimeo_api.client.partial_download import Notes, PartialDownload

CONTENT = noise(300_000)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(session, "_PAUSES", (0, 0))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def report(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    path = tmp_path / "Größe 1.xls"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "saved").mkdir()
    return tmp_path / "saved"


@contextmanager
def cutting(port: int, limit: int) -> Iterator[int]:
    """Pass connections on to a port, and cut the first whose response exceeds the limit; yield the port to use."""
    cuts = [limit]

    def pump(source: socket.socket, sink: socket.socket, limits: list[int]) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536):
                passed += len(data)
                sink.sendall(data)
                if limits and passed > limits[0]:
                    limits.clear()
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
                for ends in ((client, server, []), (server, client, cuts)):
                    threading.Thread(target=pump, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    assert not cuts


def run(*arguments: object, **environ: str) -> Result:
    return CliRunner(env=environ).invoke(cli, [*map(str, arguments)])


def test_it_sends_a_file_and_gets_it_once(service: Service, report: Path, folder: Path) -> None:
    told: list[tuple[int, int]] = []
    client = Client(service.url)
    (folder.parent / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    sent = client.send(report, expires_in="1h", progress=lambda *so_far: told.append(so_far))
    assert (told[0], told[-1]) == ((0, len(CONTENT)), (len(CONTENT), len(CONTENT)))
    assert client.get(sent.url, folder) == folder / report.name
    assert (folder / report.name).read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == [report.name]
    assert used_up(sent.url)
    with pytest.raises(Gone, match="has been downloaded"):
        client.get(sent.url, folder / "other")
    with pytest.raises(NotFound):
        client.get(f"{service.vimeo}/{'0' * 32}", folder / "other")
    assert len(list(folder.iterdir())) == 1


def test_a_password_may_have_every_character(service: Service, report: Path, folder: Path) -> None:
    password = " pass: wörd\t€ "
    client = Client(service.url)
    link = client.send(report, password=password).url
    for wrong in (None, "wrong"):
        with pytest.raises(PasswordRefused):
            client.get(link, folder, password=wrong)
    assert client.get(link, folder, password=password).read_bytes() == CONTENT


def test_a_download_resumes_after_a_cut_and_uses_the_file_up_once(service: Service, report: Path, folder: Path) -> None:
    report.write_bytes(content := random.randbytes(15 * MIB))
    link = Client(service.url).send(report).url
    received: list[int] = []
    with cutting(service.port, MIB) as port:
        Client("").get(
            link.replace(str(service.port), str(port)), folder, progress=lambda done, _: received.append(done)
        )
    assert (folder / report.name).read_bytes() == content
    assert received == sorted(received)  # it did not begin again
    assert used_up(link)


def test_a_link_may_work_several_times(service: Service, folder: Path, report: Path) -> None:
    link = Client(service.url).send(report, downloads=2).url
    for name in ("first.bin", "second.bin"):
        assert Client("").get(link, folder / name).read_bytes() == report.read_bytes()
    assert used_up(link)
    assert "--downloads" in run("send", report, "--downloads", "0", VIMEO_API_URL=service.url).stderr


def test_a_refused_upload_says_why(service: Service, report: Path) -> None:
    with pytest.raises(Refused, match="password is empty") as error:
        Client(service.url).send(report, password="")
    assert error.value.status == 400
    with pytest.raises(Refused, match="notify cannot be used"):
        Client(service.url).send(report, notify="ftp://example.org/")
    assert "notify cannot be used" in run("send", report, "--notify", "x", VIMEO_API_URL=service.url).stderr
    report.write_bytes(bytes(17 * MIB))
    with pytest.raises(Refused, match="larger") as error:
        Client(service.url).send(report)
    assert error.value.status == 413


def test_the_commands_send_several_files_as_one_zip_and_get_it(service: Service, report: Path, folder: Path) -> None:
    (other := report.with_name("empty.txt")).touch()
    done = run("send", report, other, "--expires-in", "7d", VIMEO_API_URL=service.url, VIMEO_API_PASSWORD=PASSWORD)
    assert (done.exit_code, done.stderr.rpartition("/")[0]) == (0, f"To follow or delete it: {service.url}/manage")
    [link] = done.stdout.splitlines()
    refused(run("get", link, folder), "protected; the password is missing or wrong. VIMEO_API_PASSWORD may hold it")
    got = run("get", link, folder, VIMEO_API_PASSWORD=PASSWORD)
    assert (got.exit_code, got.output) == (0, ""), got.exception
    with zipfile.ZipFile(folder / "files.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {report.name: CONTENT, "empty.txt": b""}
    refused(run("send", report.with_name("missing"), "--server", service.url), "missing cannot be read: No such file")


def test_a_file_that_is_there_costs_no_download(service: Service, report: Path, folder: Path) -> None:
    link = Client(service.url).send(report).url
    (folder / report.name).write_bytes(b"theirs")
    refused(run("get", link, folder), "already exists. --force replaces it")
    assert [path.read_bytes() for path in folder.iterdir()] == [b"theirs"]
    assert run("get", link, folder, "--force").exit_code == 0
    assert (folder / report.name).read_bytes() == CONTENT


def test_what_came_is_kept_with_the_grant_and_resumed_by_the_next_call(origin: Origin, folder: Path) -> None:
    page = Page(CONTENT, break_after=100_000, breaks=10**9, headers={"X-Download-Grant": "grant"}, ranges="refused")
    link = origin.serve("/file", page)
    with pytest.raises((Unreachable, Refused)):
        Client("").get(link, folder / "file")
    kept = [path for path in folder.iterdir() if path.suffix != ".json"]
    assert kept[0].read_bytes() == CONTENT[: kept[0].stat().st_size] != b""
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    page.break_after, page.ranges = None, "yes"
    assert Client("").get(link, folder / "file").read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["file"]
    assert origin.requests[-1].headers["x-download-grant"] == "grant"
    assert origin.requests[-1].headers["range"].startswith("bytes=")


def test_it_begins_again_if_the_server_does_not_continue(origin: Origin, folder: Path) -> None:
    link = origin.serve("/file", Page(CONTENT, break_after=100_000, breaks=1, ranges="no"))
    assert Client("").get(link, folder / "file").read_bytes() == CONTENT


def test_without_resume_nothing_is_left(origin: Origin, folder: Path) -> None:
    link = origin.serve("/file", Page(CONTENT, break_after=100_000, ranges="no"))
    with pytest.raises(Unreachable):
        Client("").get(link, folder / "file", resume=False)
    assert list(folder.iterdir()) == []


def test_damaged_bytes_are_not_kept(origin: Origin, folder: Path) -> None:
    digest = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"  # of nothing
    link = origin.serve("/file", Page(CONTENT, headers={"Repr-Digest": digest}))
    with pytest.raises(Damaged):
        Client("").get(link, folder / "file")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment; filename=\"_.xls\"; filename*=UTF-8''%C3%B6.xls", "ö.xls"),
        ("attachment; filename=\"x\"; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        ('attachment; filename=".bashrc"', "_bashrc"),
        ('attachment; filename="a\\..\\"', "download"),
        ('attachment; filename=".."', "_."),
        ("", "download"),
    ],
)
def test_a_name_stays_in_its_folder(header: str, name: str) -> None:
    assert session.safe_name(header) == name


def test_a_redirect_is_not_followed_and_a_token_goes_only_with_uploads(origin: Origin, folder: Path) -> None:
    link = origin.serve("/file", Page(location=origin.serve("/elsewhere", Page(CONTENT))))
    with pytest.raises(Refused, match="redirects"):
        Client(origin.url("/"), "token").get(link, folder / "file", password=PASSWORD)
    assert [request.path for request in origin.requests] == ["/file"]
    assert "token" not in origin.requests[0].headers["authorization"]


def test_a_server_that_is_not_there_is_one_sentence_without_the_link(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    refused(run("get", f"http://{address}/vimeo/api/v1.0/file/secret", folder), f"{address} cannot be reached")
    refused(run("get", "secret", folder), "The address must be a complete one")
    refused(run("send", __file__), "Missing option '--server'", code=2)
    refused(run("get", "http://[", folder), "The address must be a complete one")
    refused(run("send", __file__, "--server", "http://["), "The address must be a complete one")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"VIMEO_API_PASSWORD": "\udcff"}, "password is not UTF-8"),
        ({"VIMEO_API_TOKEN": "va_\udcff"}, "has characters that no token has"),
        ({"VIMEO_API_TOKEN": "va_x\ny"}, "has characters that no token has"),
    ],
)
def test_text_that_cannot_be_sent_is_one_sentence(settings: dict[str, str], sentence: str) -> None:
    refused(run("send", __file__, "--server", "http://localhost:1", **settings), sentence)
    if "VIMEO_API_PASSWORD" in settings:
        refused(run("get", "http://localhost:1/x", **settings), sentence)


def test_a_file_that_changes_while_it_is_sent_is_an_error(service: Service, report: Path) -> None:
    with pytest.raises(Unreadable, match="changed while it was being sent"):
        Client(service.url).send(report, progress=lambda *_: os.truncate(report, 1))


def test_two_downloads_of_a_link_into_a_folder_do_not_clash(folder: Path) -> None:
    with PartialDownload("http://localhost/link", folder), pytest.raises(InUse):
        Client("").get("http://localhost/link", folder)


def test_a_download_that_another_process_completes_meanwhile_is_not_touched(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, other = fcntl.flock, PartialDownload("http://localhost/link", folder)
    other.begin(Notes("file", 4, None, None, None))
    other.write(b"once")

    def complete_first(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        other.publish(folder / "file", force=False)
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", complete_first)
    with PartialDownload("http://localhost/link", folder) as download:
        assert download.received == 0
    assert (folder / "file").read_bytes() == b"once"
    assert list(folder.iterdir()) == [folder / "file"]


def test_a_file_that_appears_meanwhile_is_kept_and_so_is_the_download(origin: Origin, folder: Path) -> None:
    link = origin.serve("/file", Page(CONTENT))
    target = folder / "file"

    def appearing(_done: int, _total: int) -> None:
        target.write_bytes(b"theirs")

    with pytest.raises(Exists, match="appeared meanwhile"):
        Client("").get(link, target, progress=appearing)
    before = len(origin.requests)
    assert target.read_bytes() == b"theirs"
    assert Client("").get(link, target, force=True).read_bytes() == CONTENT
    assert len(origin.requests) == before
