"""What operators read: /healthz, /readyz, /metrics and request ids, in both profiles."""

import re

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.services import Service, await_

NEEDED = {"database", "spool", "store"}
NOT_NEEDED = {"cache", "broker", "workers", "room"}
REQUEST_ID = re.compile("[0-9a-f]{32}")


def sample(service: Service, name: str, **labels: str) -> float:
    """Return a sample of /metrics, 0 where there is none yet."""
    found = await_(lambda: whole(requests.get(f"{service.url}/metrics", timeout=60).text))
    return sum(one.value for one in found if one.name == f"vimeo_api_{name}" and labels.items() <= one.labels.items())


def whole(text: str) -> list[Sample]:
    """Return all samples, or none if one is missing: on a busy machine a figure may come too late."""
    found = [one for family in text_string_to_metric_families(text) for one in family.samples]
    return found if all(one.value for one in found if one.name == "vimeo_api_figures_up") else []


def put(service: Service, content: bytes = b"content") -> str:
    answer = requests.put(service.vimeo, files={"file": ("report.xls", content)}, timeout=60)
    return str(answer.json()["url"])


def test_it_is_alive(service: Service) -> None:
    answer = requests.get(f"{service.url}/healthz", timeout=60)
    assert (answer.status_code, answer.json(), answer.headers["Cache-Control"]) == (
        200,
        {"status": "alive"},
        "no-store",
    )


def test_it_is_ready_and_lists_its_dependencies(service: Service) -> None:
    answer = await_(lambda: (a := requests.get(f"{service.url}/readyz", timeout=60)).ok and a)
    assert answer
    assert answer.json()["status"] == "ready"
    dependencies = answer.json()["dependencies"]
    needed = NEEDED | ({"journal"} if service.profile == "production" else set())
    assert {name for name, one in dependencies.items() if one["needed"]} == needed
    assert set(dependencies) - needed == NOT_NEEDED
    assert all(one["ms"] >= 0 for one in dependencies.values())
    assert not any("trouble" in one for name, one in dependencies.items() if name in needed)


def test_it_says_that_beat_and_all_workers_work(service: Service) -> None:
    def workers() -> dict[str, object]:
        dependencies = requests.get(f"{service.url}/readyz", timeout=60).json()["dependencies"]
        return dict(dependencies["workers"])

    await_(lambda: workers()["ok"])
    assert {path.name.partition("@")[0] for path in (service.data / "heartbeats").iterdir()} == {
        *("beat", "delete", "fetch", "maintenance", "notify", "place"),
    }


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_a_forwarded_request_sees_no_details(service: Service, header: str) -> None:
    headers = {header: "127.0.0.1"}
    answer = await_(lambda: (a := requests.get(f"{service.url}/readyz", headers=headers, timeout=60)).ok and a)
    assert answer
    assert answer.json() == {"status": "ready"}
    refused = requests.get(f"{service.url}/metrics", headers=headers, timeout=60)
    assert (refused.status_code, refused.json()) == (403, {"error": "Forbidden"})


def test_it_counts_requests_by_surface_and_status_whichever_process_answers(service: Service) -> None:
    def counted() -> tuple[float, float]:
        counts = sample(service, "requests_total", surface="streams", status="404")
        return counts, sample(service, "request_seconds_count", surface="streams")

    before = counted()
    for number in range(30):  # each by a connection of its own, so that all processes answer
        assert requests.get(f"{service.url}/v1/streams/{number}?{number}", timeout=60).status_code == 404
    after = counted()
    assert (after[0] - before[0], after[1] - before[1]) == (30, 30)


def test_it_counts_what_becomes_of_downloads(service: Service) -> None:
    def ended(outcome: str) -> float:
        return sample(service, "deliveries_total", outcome=outcome)

    confirmed, given_back = ended("confirmed"), ended("given_back")
    assert requests.get(put(service), timeout=60).content == b"content"
    await_(lambda: ended("confirmed") > confirmed)  # others' downloads may be confirmed, too
    with requests.get(put(service, bytes(8 * 1024**2)), stream=True, timeout=60) as aborted:
        aborted.raw.read(1)
    await_(lambda: ended("given_back") > given_back)


def test_the_metrics_have_files_bytes_leases_and_workers(service: Service) -> None:
    assert requests.post(f"{service.url}/v1/streams", data=bytes(1000), timeout=60).status_code == 201
    await_(lambda: sample(service, "stored_bytes", surface="streams") >= 1000)
    assert sample(service, "files", surface="streams", status="available") >= 1
    assert sample(service, "capacity_bytes", place="store") >= sample(service, "free_bytes", place="store") > 0
    with requests.get(put(service, bytes(8 * 1024**2)), stream=True, timeout=60):
        await_(lambda: sample(service, "leases", surface="vimeo"))
    await_(lambda: sample(service, "last_run_timestamp_seconds", task="sweep"))
    assert sample(service, "figures_up") == 6


def test_openmetrics_is_sent_to_clients_that_ask_for_it(service: Service) -> None:
    headers = {"Accept": "application/openmetrics-text;version=1.0.0"}
    answer = requests.get(f"{service.url}/metrics", headers=headers, timeout=60)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert requests.get(f"{service.url}/metrics", timeout=60).headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("method", "headers", "status", "phrase"),
    [
        ("POST", {}, 405, "method not allowed"),
        ("GET", {"Range": "bytes=999999999-"}, 416, "requested range not satisfiable"),
    ],
)
def test_errors_about_static_files_are_json(
    service: Service, method: str, headers: dict[str, str], status: int, phrase: str
) -> None:
    answer = requests.request(method, f"{service.url}/static/docs.css", headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["error"].lower()) == (status, phrase)


def test_the_methods_of_static_files_are_told(service: Service) -> None:
    for method, status in (("OPTIONS", 200), ("POST", 405), ("DELETE", 405)):
        for name in ("docs.css", "none.css"):
            answer = requests.request(method, f"{service.url}/static/{name}", data=b"x", timeout=60)
            assert (answer.status_code, answer.headers["Allow"]) == (status, "GET, HEAD, OPTIONS")
    page = requests.get(f"{service.url}/static/none.css", headers={"Accept": "text/html"}, timeout=60)
    assert (page.status_code, "There is no such page" in page.text) == (404, True)


PATHS = [
    "/healthz",
    "/metrics",
    "/",
    "/nothing",
    "/upload",
    "/static/docs.css",
    "/v1/streams/x",
    "/downloadFile",
    "/docs",
]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_an_id_of_its_own_whatever_the_client_says(service: Service, path: str) -> None:
    ids = set()
    for _ in range(4):
        answer = requests.get(service.url + path, headers={"X-Request-Id": "f" * 32}, timeout=60, allow_redirects=False)
        assert REQUEST_ID.fullmatch(answer.headers["X-Request-Id"])
        assert answer.headers["X-Request-Id"] != "f" * 32
        ids.add(answer.headers["X-Request-Id"])
    assert len(ids) == 4
    straight = requests.post(service.url + path, data=b"x", timeout=60, allow_redirects=False)
    assert REQUEST_ID.fullmatch(straight.headers["X-Request-Id"])


def test_a_416_has_one_request_id_too(service: Service) -> None:
    stream = requests.post(f"{service.url}/v1/streams", data=b"x", timeout=60).json()["id"]
    for path in (f"/v1/streams/{stream}", "/static/docs.css"):
        answer = requests.get(service.url + path, headers={"Range": "bytes=999999999-"}, timeout=60)
        assert REQUEST_ID.fullmatch(answer.headers["X-Request-Id"])
        assert (answer.status_code, answer.headers["X-Content-Type-Options"]) == (416, "nosniff")


def test_downloads_have_an_id_too(service: Service) -> None:
    stream = requests.post(f"{service.url}/v1/streams", data=b"x", timeout=60).json()["id"]
    links = [put(service), f"{service.url}/v1/streams/{stream}"]
    assert all(REQUEST_ID.fullmatch(requests.get(link, timeout=60).headers["X-Request-Id"]) for link in links)
