"""What /readyz, /metrics and the logs show during outages; the monitoring files use only metrics that exist."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests import fetches
from tests.origin import Origin, Page
from tests.production.parts import frozen, stopped, unreachable
from tests.services import ROOT, Service, await_
from vimeo_api.core.storage.mount_check import NOT_MOUNTED

RULES = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])
]


def readyz(service: Service) -> requests.Response:
    return requests.get(f"{service.url}/readyz", timeout=60)


def becomes(service: Service, status: int) -> dict[str, Any]:
    answers = await_(lambda: [answer for answer in [readyz(service)] if answer.status_code == status], 60)
    return dict(answers[0].json()["dependencies"])


def lacking_only(service: Service, name: str) -> dict[str, Any]:
    """Return the dependencies as /readyz lists them if only that needed one is missing, otherwise nothing."""
    answer = readyz(service)
    dependencies: dict[str, Any] = answer.json().get("dependencies", {})
    lacking = [one for one, found in dependencies.items() if found["needed"] and not found["ok"]]
    return dependencies if (answer.status_code, lacking) == (503, [name]) else {}


def up(service: Service) -> dict[str, float]:
    text = requests.get(f"{service.url}/metrics", timeout=60).text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    return {one.labels["dependency"]: one.value for one in families["vimeo_api_dependency_up"].samples}


@pytest.mark.parametrize("how", [stopped, frozen])
@pytest.mark.parametrize("part", ["redis-cache", "redis-broker"])
def test_it_is_ready_without_redis_and_says_that_it_is_gone(stack: Service, part: str, how: object) -> None:
    becomes(stack, 200)
    name = part.removeprefix("redis-")
    with how(stack, part):  # type: ignore[operator]
        # On a busy machine what is needed may not answer in time, either, now and then.
        answers = await_(lambda: [a for a in [readyz(stack)] if a.ok and "trouble" in a.json()["dependencies"][name]])
        assert answers[0].json()["status"] == "ready"
        assert up(stack)[name] == 0
    await_(lambda: up(stack)[name] == 1, 60)


@pytest.mark.parametrize("how", [stopped, frozen])
def test_it_is_not_ready_without_the_database_but_alive(stack: Service, how: object) -> None:
    becomes(stack, 200)
    with how(stack, "postgres"):  # type: ignore[operator]
        assert await_(lambda: lacking_only(stack, "database"))["database"]["trouble"]
        assert requests.get(f"{stack.url}/healthz", timeout=60).status_code == 200
        assert up(stack)["database"] == 0
    becomes(stack, 200)


def test_it_is_ready_without_a_worker_and_says_which_one_is_gone(stack: Service) -> None:
    await_(lambda: "trouble" not in becomes(stack, 200)["workers"])
    with stopped(stack, "fetcher"):
        for path in (stack.data / "heartbeats").glob("fetch@*"):
            os.utime(path, (0, 0))  # as if it had been gone for long
        assert becomes(stack, 200)["workers"]["trouble"] == "fetch: no heartbeat since its start"
    await_(lambda: "trouble" not in becomes(stack, 200)["workers"])


@contextmanager
def away(service: Service, folder: str) -> Iterator[None]:
    place, aside = service.data / folder, service.data / f"{folder}-aside"
    place.rename(aside)
    try:
        yield
    finally:
        aside.rename(place)


@pytest.mark.parametrize(
    ("folder", "name", "trouble"),
    [
        ("journal", "journal", "No such file or directory"),
        ("incoming", "spool", "No such file or directory"),
        ("store", "store", NOT_MOUNTED),
    ],
)
def test_it_is_not_ready_without_its_folders(stack: Service, folder: str, name: str, trouble: str) -> None:
    becomes(stack, 200)
    with away(stack, folder):
        dependencies = await_(lambda: lacking_only(stack, name))
        assert dependencies[name]["trouble"] == trouble
    becomes(stack, 200)


def test_it_is_described_also_when_the_service_is_gone(stack: Service) -> None:
    with unreachable(stack):
        answer = readyz(stack)
        assert (answer.status_code, answer.json()) == (503, {"error": "Service Unavailable"})
    becomes(stack, 200)


def told(service: Service) -> dict[str, set[str]]:
    """Return the labels of every metric."""
    labels: dict[str, set[str]] = {}
    text = requests.get(f"{service.url}/metrics", timeout=60).text
    for family in text_string_to_metric_families(text):
        labels[family.name + ("_total" if family.type == "counter" else "")] = set()
        for one in family.samples:
            labels.setdefault(one.name, set()).update(one.labels)
            if one.name == "vimeo_api_figures_up" and not one.value:
                return {}
    return labels


def test_alerts_and_dashboard_ask_for_metrics_that_there_are(stack: Service) -> None:
    requests.post(f"{stack.url}/v1/streams", data=b"x", timeout=60)
    # Once a worker has counted the files, and where nothing was too busy to be asked.
    labels = await_(lambda: (found := told(stack)).get("vimeo_api_files") and found) or {}
    labels["vimeo_api_fetches"] |= {"state", "failure"}  # of which this stack has none
    for expression in EXPRESSIONS:
        for name, selector in re.findall(r"\b(vimeo_api_[a-z_]+)(?:\{([^}]*)\})?", expression):
            assert name in labels, expression
            assert set(re.findall(r"(\w+)\s*[=!]", selector)) <= labels[name] | {"instance"}, expression


def test_alerts_and_dashboard_are_whole() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    assert all(rule["labels"]["severity"] in {"page", "ticket"} and rule["annotations"]["summary"] for rule in RULES)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for expression in EXPRESSIONS:
        assert expression.count("(") == expression.count(")"), expression
        assert set(re.findall(r"\$(\w+)", expression)) <= {"instance", "__rate_interval"}
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    assert config["rule_files"] == ["rules.yml"]


def lines(service: Service, name: str) -> list[dict[str, Any]]:
    text = (service.data / "log" / name).read_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_nginx_the_service_and_the_worker_log_a_request_under_one_id(stack: Service, origin: Origin) -> None:
    url = origin.serve("/report", Page(statuses=[404] * 10_000))

    def said(log: str, about: str) -> list[dict[str, Any]]:
        return await_(lambda: [line for line in lines(stack, log) if line["request_id"] == about])

    def failures() -> list[dict[str, Any]]:
        return [line for line in lines(stack, "fetcher.log") if line["message"].endswith("failed: origin")]

    def failed() -> str:
        """Let a fetch fail, and return the id of its request if the worker logs it."""
        before = len(failures())
        request_id = fetches.ask(stack, url, wait=False).headers["X-Request-Id"]
        found = await_(lambda: failures()[before:])
        return request_id if found[0]["request_id"] == request_id else ""

    # Where a sweep finds the fetch waiting first, it calls for it under an id of its own.
    assert [line["path"] for line in said("access.log", await_(failed, 120))] == ["/uploadFile"]
    asked: list[str] = []

    def not_enqueued() -> list[dict[str, Any]]:
        # A process logs it once, and then leaves the broker alone for a while; it may be doing so already.
        asked.append(fetches.ask(stack, url, wait=False).headers["X-Request-Id"])
        return [line for line in lines(stack, "web.log") if line["request_id"] in asked]

    with stopped(stack, "redis-broker"):
        late = await_(not_enqueued)[0]
    assert "not enqueued" in late["message"]
    assert said("access.log", late["request_id"])[0]["status"] == "202"
