"""uWSGI is down: nginx responds for it, finishes running downloads, and refuses large uploads at once."""

import socket

import requests

from tests.outages.disks import Shaky
from tests.outages.requesting import get, link, put, refused_for_now, stream
from tests.production.parts import stopped, unreachable
from tests.services import Service, await_, used_up

ROW = "uWSGI"
MIB = 1024**2


def test_nginx_speaks_the_dialect_and_takes_no_large_upload(shaky: Shaky) -> None:
    stack = shaky.service
    await_(lambda: shaky.settled, 60)
    with stopped(stack, "web"):
        answer = get(f"{stack.vimeo}/{'0' * 32}")
        assert refused_for_now(answer)
        assert answer.json() == {"error": "Service Unavailable", "message": "The service is away for a moment."}
        assert answer.headers["Content-Type"] == "application/json"
        assert refused_for_now(put(stack))
        assert refused_for_now(get(f"{stack.url}/v1/streams/1"))
        with socket.create_connection(("127.0.0.1", stack.port), timeout=60) as client:
            client.sendall(f"POST /v1/streams HTTP/1.1\r\nHost: h\r\nContent-Length: {100 * MIB}\r\n\r\n".encode())
            assert client.makefile("rb").readline().split()[1] == b"503"  # although no byte of the body was sent
        assert shaky.settled
    await_(lambda: get(f"{stack.url}/ping").status_code == 200)


def test_a_cached_response_whose_file_is_missing_gets_503(shaky: Shaky) -> None:
    await_(lambda: shaky.settled, 60)
    before = shaky.files("store")
    url = stream(shaky.service)
    await_(lambda: not shaky.files("incoming"), 60)  # so it is served from the store
    assert [get(url).content for _ in range(3)] == [b"content"] * 3  # the answer is kept from the second on
    (path,) = shaky.files("store") - before
    path.unlink()
    with unreachable(shaky.service):
        answer = get(url)
        assert refused_for_now(answer), (answer.status_code, answer.text)
    await_(lambda: get(url).status_code == 404)
    assert requests.delete(url, timeout=60).ok


def test_a_download_that_runs_goes_on_and_is_confirmed_later(stack: Service) -> None:
    once = link(stack, bytes(2 * MIB))
    with stopped(stack, "worker"), get(once, stream=True) as download, stopped(stack, "web"):
        assert len(download.content) == 2 * MIB
    await_(lambda: get(once).status_code != 503)
    assert used_up(once)
