"""Fetching over real sockets from odd origins that browsers, curl and wget can read: the right file."""

from copy import deepcopy

import pytest

from tests.core.fetching import CONTENT, Memory, fetch, fetched, names
from tests.odd_origins import NAMED, ODD
from tests.origin import Origin, Page
from vimeo_api.core.fetching.client import OriginFailed

pytestmark = pytest.mark.usefixtures("nothing_outlives_a_fetch")


@pytest.mark.parametrize("name", ODD)
def test_it_gets_the_right_bytes_from_odd_origins(origin: Origin, name: str) -> None:
    odd = deepcopy(ODD[name])
    assert fetched(odd.serve(origin)) == odd.content


@pytest.mark.parametrize(("headers", "name"), NAMED)
def test_it_names_the_file_after_the_coding_of_its_bytes(origin: Origin, headers: dict[str, str], name: str) -> None:
    sink = Memory()
    found = fetch(origin.serve("/data.csv", Page(CONTENT, headers=headers)), sink)
    assert (found.name, bytes(sink.data)) == (name, CONTENT)


def test_a_part_need_not_repeat_the_coding_but_must_not_have_another(origin: Origin) -> None:
    plain, coded = Page(CONTENT), Page(CONTENT, headers={"Content-Encoding": "gzip"})
    origin.serve("/file", Page(CONTENT, first=[coded]))
    assert fetched(origin.url("/file")) == CONTENT
    origin.serve("/file", Page(CONTENT, headers={"Content-Encoding": "gzip"}, first=[plain]))
    with pytest.raises(OriginFailed, match="changed the file"):
        fetched(origin.url("/file"))


def test_a_refused_range_ends_in_one_stream_only_if_no_connection_gets_further(origin: Origin) -> None:
    origin.serve("/file", Page(CONTENT, range_status=403, ranges_given=1))
    assert fetched(origin.url("/file")) == CONTENT
    assert origin.asked("Range")[-1] is None


def test_a_body_without_a_length_is_accepted_if_its_digest_is_checked(origin: Origin) -> None:
    url = origin.serve("/file", Page(CONTENT, framing="close", ranges="no"))
    assert fetched(url, checked=True) == CONTENT


def test_a_cookie_goes_back_to_the_host_that_set_it_and_to_no_other(origin: Origin) -> None:
    other = origin.url("/other", host="other.example.org")
    domain = {"Set-Cookie": "all=1; Domain=example.org; Path=/"}
    origin.serve("/start", Page(location="/middle", headers={"Set-Cookie": "one=1; Path=/"}))
    origin.serve("/middle", Page(location=other, headers=domain, cookie="one=1"))
    origin.serve("/other", Page(location=origin.url("/end", host="www.example.org"), headers=domain))
    origin.serve("/end", Page(CONTENT, cookie="one=1"))
    assert fetched(origin.url("/start", host="www.example.org"), resolver=names("127.0.0.1")) == CONTENT
    cookies = origin.asked("Cookie")
    assert cookies[:4] == [None, "one=1", None, "one=1; all=1"]
    assert set(cookies[4:]) == {"one=1; all=1"}  # ranges too


@pytest.mark.parametrize("attributes", ["; Path=/elsewhere", "; Max-Age=0", "; Secure", "; Domain=other.example"])
def test_a_cookie_stays_away_where_its_attributes_say_so(origin: Origin, attributes: str) -> None:
    origin.serve("/start", Page(location="/end", headers={"Set-Cookie": f"one=1{attributes}"}))
    origin.serve("/end", Page(b"x"))
    assert fetched(origin.url("/start", host="www.example.org"), resolver=names("127.0.0.1")) == b"x"
    assert set(origin.asked("Cookie")) == {None}


def test_it_follows_as_many_redirects_as_browsers(origin: Origin) -> None:
    for step in range(20):
        origin.serve(f"/{step}", Page(location=f"/{step + 1}"))
    origin.serve("/20", Page(CONTENT))
    assert fetched(origin.url("/0")) == CONTENT
