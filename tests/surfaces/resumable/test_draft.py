"""The IETF's Resumable Uploads for HTTP, interop version 8: each MUST of the document for servers, by its section."""

import base64
import os
from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from tests.surfaces.resumable.draft_client import DATA, Client, client, digest
from vimeo_api.core.resumable import parts
from vimeo_api.web.resumable import draft

__all__ = ["client"]


def offset_keeps_growing(client: Client) -> bool:
    url = client.begin(DATA[:10]).headers["Location"]
    client.append(url, 10, DATA[10:], done=True, cut=500)
    first = int(client.ask(url).headers["Upload-Offset"])
    refused = client.append(url, 5, DATA[5:], done=True)
    return (first, refused.status_code, client.ask(url).headers["Upload-Offset"]) == (510, 409, "510")


def lost_bytes_end_it(client: Client) -> bool:
    url = client.begin(DATA[:10]).headers["Location"]
    with client.app.app_context():
        os.truncate(parts.path(url.rpartition("/")[2]), 9)
    return [client.ask(url).status_code, client.append(url, 9, DATA[9:], done=True).status_code] == [404, 404]


def odd_offsets_are_ignored(client: Client) -> bool:
    url = client.begin(DATA[:10]).headers["Location"]
    for offset in ("-10", "10.0", "?1", '"10"', "ten"):
        refused = client.append(url, 10, DATA[10:], done=True, Upload_Offset=offset)
        assert (refused.status_code, refused.headers["Upload-Complete"]) == (400, "?0"), offset
    return client.append(url, 10, DATA[10:], done=True, Upload_Offset="10;a=b").status_code == 201


def nothing_follows_the_end(client: Client) -> bool:
    url = client.begin(DATA[:10]).headers["Location"]
    client.append(url, 10, DATA[10:], done=True)
    more = client.append(url, len(DATA), b"x", done=True)
    state = client.ask(url).headers
    return (more.status_code, more.headers["Upload-Complete"], state["Upload-Offset"]) == (409, "?0", str(len(DATA)))


def it_does_not_end_before_its_length(client: Client) -> bool:
    url = client.begin(DATA[:10], Upload_Length="100").headers["Location"]
    early = client.append(url, 10, DATA[10:20], done=True, Transfer_Encoding="chunked")
    last = client.append(url, 10, DATA[10:100], done=True, Transfer_Encoding="chunked")
    return (early.status_code, early.mimetype, last.status_code) == (400, "application/problem+json", 201)


def limits_do_not_tighten(client: Client) -> bool:
    begun = client.begin(DATA[:10], surface="vimeo", Content_Disposition='inline; filename="a"')
    limits = [begun.headers["Upload-Limit"], client.ask(begun.headers["Location"]).headers["Upload-Limit"]]
    limits.append(client.append(begun.headers["Location"], 10, DATA[10:20], done=False).headers["Upload-Limit"])
    ages = [int(one.partition("max-age=")[2]) for one in limits]
    return all(one.startswith("max-size=1048576, ") for one in limits) and max(ages) - min(ages) < 60


def odd_fields_are_ignored(client: Client) -> bool:
    missing = client.begin(DATA, Upload_Complete="yes")
    url = client.begin(b"", Upload_Length="many").headers["Location"]
    return missing.status_code == 400 and "Upload-Length" not in client.ask(url).headers


def lengths_must_match(client: Client) -> bool:
    one = client.begin(DATA[:10], done=True, Upload_Length="11")
    url = client.begin(DATA[:10], Upload_Length="100").headers["Location"]
    two = client.append(url, 10, DATA[10:20], done=False, Upload_Length="99")
    three = client.append(url, 10, DATA[10:20], done=True)
    kinds = {answer.json["type"] for answer in (one, two, three) if answer.json}
    statuses = {answer.status_code for answer in (one, two, three)}
    return (statuses, kinds) == ({400}, {f"{draft.PROBLEMS}inconsistent-upload-length"})


def options_tell_limits(client: Client) -> bool:
    limits = [client.ask(f"/uploads/{one}", "OPTIONS").headers["Upload-Limit"] for one in ("vimeo", "streams")]
    return limits == ["max-size=1048576", "min-size=0"]


def creation_tells_the_resource(client: Client) -> bool:
    answer = client.begin(DATA[:10])
    return (
        answer.status_code == 201
        and "/uploads/streams/" in answer.headers["Location"]
        and answer.headers["Upload-Limit"].startswith("max-age=")
        and answer.headers["Upload-Complete"] == "?0"
    )


def creation_records_the_length(client: Client) -> bool:
    url = client.begin(DATA[:10], Upload_Length="100000").headers["Location"]
    return client.ask(url).headers["Upload-Length"] == "100000"


def append_records_the_length(client: Client) -> bool:
    url = client.begin(DATA[:10]).headers["Location"]
    client.append(url, 10, DATA[10:], done=True, cut=5)
    return client.ask(url).headers["Upload-Length"] == "100000"


def interrupted_is_not_complete(client: Client) -> bool:
    url = client.begin().headers["Location"]
    client.append(url, 0, DATA, done=True, cut=99_999)
    state = client.ask(url)
    return (state.headers["Upload-Offset"], state.headers["Upload-Complete"]) == ("99999", "?0")


def state_is_told(client: Client) -> bool:
    url = client.begin(DATA[:10], Upload_Length="20").headers["Location"]
    return all(
        answer.status_code == 204
        and answer.headers["Upload-Offset"] == "10"
        and answer.headers["Upload-Complete"] == "?0"
        and answer.headers["Upload-Length"] == "20"
        and answer.headers["Upload-Limit"].startswith("max-age=")
        and answer.headers["Cache-Control"] == "no-store"
        for answer in (client.ask(url), client.ask(url, "GET"))
    )


def wrong_offset_is_told(client: Client) -> bool:
    url = client.begin(DATA[:10]).headers["Location"]
    answer = client.append(url, 25, DATA[25:], done=True)
    headers = answer.headers
    return (answer.status_code, headers["Upload-Complete"], headers["Upload-Offset"]) == (409, "?0", "10")


def last_response_is_the_resource_s(client: Client) -> bool:
    url = client.begin(DATA[:10]).headers["Location"]
    last = client.append(url, 10, DATA[10:], done=True)
    again = client.append(url, len(DATA), b"", done=True)  # the first one was lost
    return (
        last.status_code == again.status_code == 201
        and last.headers["Upload-Complete"] == again.headers["Upload-Complete"] == "?1"
        and last.json == again.json
        and last.json is not None
        and last.json["status"] == "created"
        and client.ask(url).headers["Upload-Complete"] == "?1"
    )


def errors_of_the_resource_are_told_apart(client: Client) -> bool:
    url = client.begin(surface="store").headers["Location"]
    answer = client.append(url, 0, b"", done=True)  # this surface takes no empty file
    return (answer.status_code, answer.headers["Upload-Complete"]) == (400, "?1")


def beyond_the_length_it_ends(client: Client) -> bool:
    url = client.begin(DATA[:10], Upload_Length="20").headers["Location"]
    refused = client.append(url, 10, DATA[10:50], done=False)
    again = client.append(url, 10, DATA[10:20], done=True)
    return [refused.status_code, client.ask(url).status_code, again.status_code] == [413, 404, 404]


def beyond_the_length_it_ends_although_it_breaks_off(client: Client) -> bool:
    url = client.begin(DATA[:10], Upload_Length="20").headers["Location"]
    client.append(url, 10, DATA[10:50], done=False, cut=39, Transfer_Encoding="chunked")
    return client.ask(url).status_code == 404


def too_large_tells_limits(client: Client) -> bool:
    answer = client.begin(b"", surface="vimeo", Upload_Length=str(2 * 1024**2))
    return (answer.status_code, answer.headers["Upload-Limit"]) == (413, "max-size=1048576")


def complete_is_told(client: Client) -> bool:
    url = client.begin(DATA[:10]).headers["Location"]
    client.append(url, 10, DATA[10:], done=True)
    headers = client.ask(url).headers
    told = {name: headers[name] for name in ("Upload-Offset", "Upload-Length", "Upload-Complete")}
    return told == {"Upload-Offset": "100000", "Upload-Length": "100000", "Upload-Complete": "?1"}


def length_alone_does_not_complete(client: Client) -> bool:
    url = client.begin(DATA[:10], Upload_Length="100000").headers["Location"]
    answer = client.append(url, 10, DATA[10:], done=False)
    state = client.ask(url).headers["Upload-Complete"]
    last = client.append(url, len(DATA), b"", done=True)
    return (answer.headers["Upload-Complete"], state, last.status_code) == ("?0", "?0", 201)


def offset_can_be_used(client: Client) -> bool:
    url, offset = client.begin(DATA[:10]).headers["Location"], 10
    for cut in (7, 0, 90_000):
        client.append(url, offset, DATA[offset:], done=True, cut=cut)
        offset = int(client.ask(url).headers["Upload-Offset"])
        assert client.append(url, offset, b"", done=False).status_code == 204
    return client.append(url, offset, DATA[offset:], done=True).status_code == 201


def another_offset_has_its_problem(client: Client) -> bool:
    url = client.begin(DATA[:10]).headers["Location"]
    answer = client.append(url, 25, b"", done=False)
    told = {"type": f"{draft.PROBLEMS}mismatching-upload-offset", "expected-offset": 10, "provided-offset": 25}
    assert answer.json is not None
    return answer.mimetype == "application/problem+json" and told.items() <= answer.json.items()


def cancelled_is_gone(client: Client) -> bool:
    url = client.begin(DATA[:10]).headers["Location"]
    return (client.ask(url, "DELETE").status_code, client.ask(url).status_code) == (204, 404)


def content_digest_is_checked(client: Client) -> bool:
    url = client.begin(DATA[:10], Content_Digest=digest(DATA[:10])).headers["Location"]
    wrong = client.append(url, 10, DATA[10:], done=True, Content_Digest=digest(DATA, "sha-512"))
    right = client.append(url, 10, DATA[10:], done=True, Content_Digest=digest(DATA[10:], "sha-512"))
    return (wrong.status_code, wrong.headers["Upload-Complete"], right.status_code) == (400, "?0", 201)


def repr_digest_is_checked(client: Client) -> bool:
    statuses = []
    for expected in (digest(DATA), digest(DATA[1:])):
        url = client.begin(DATA[:10], Repr_Digest=expected).headers["Location"]
        statuses.append(client.append(url, 10, DATA[10:], done=True).status_code)
    return statuses == [201, 400]


def other_media_types_are_refused(client: Client) -> bool:
    url = client.begin().headers["Location"]
    statuses = [client.append(url, 0, b"x", done=False, Content_Type="text/plain").status_code]
    statuses.append(
        client.append(
            url, 0, b"x", done=False, Content_Type="text/plain", Upload_Draft_Interop_Version="5"
        ).status_code  # which had no media type yet
    )
    return statuses == [415, 204]


def everything_in_one_request(client: Client) -> bool:
    name = {"Content-Disposition": "inline; filename*=UTF-8''%C3%A4.pdf"}
    answer = client.begin(DATA, surface="named", done=True, **name)
    return (answer.status_code, answer.text, answer.headers["Upload-Complete"]) == (201, "ä.pdf uploaded", "?1")


def other_versions_are_refused(client: Client) -> bool:
    url = client.begin(DATA[:10]).headers["Location"]
    answers = [client.begin(DATA, Upload_Draft_Interop_Version=version) for version in ("3", "4", "9")]
    answers.append(client.append(url, 10, DATA[10:], done=True, Upload_Draft_Interop_Version="9"))
    said = {(answer.status_code, answer.headers["Upload-Draft-Interop-Version"]) for answer in answers}
    return (said, client.ask(url).headers["Upload-Offset"]) == ({(400, "8")}, "10")


def older_versions_are_spoken(client: Client) -> bool:
    """As tus-js-client speaks 5 and 6: it sends the name as in tus."""

    def uploaded(version: str, kind: str, limit: str) -> bool:
        name = base64.b64encode(f"{version}.pdf".encode()).decode()
        begun = client.begin(surface="named", Upload_Metadata=f"filename {name}", Upload_Draft_Interop_Version=version)
        url = begun.headers["Location"]

        def appended(offset: int, body: bytes, *, done: bool) -> TestResponse:
            said = {"Content_Type": kind, "Upload_Draft_Interop_Version": version}
            return client.append(url, offset, body, done=done, cut=None, **said)

        first, last = appended(0, DATA[:10], done=False), appended(10, DATA[10:], done=True)
        return (
            limit in begun.headers["Upload-Limit"]
            and first.headers["Upload-Offset"] == "10"
            and (last.status_code, last.text) == (201, f"{version}.pdf uploaded")
            and last.headers["Upload-Draft-Interop-Version"] == version
        )

    return (
        uploaded("5", "", "expires=")
        and uploaded("6", draft.MEDIA_TYPE, "expires=")
        and uploaded("7", draft.MEDIA_TYPE, "max-age=")
    )


MUSTS: dict[str, Callable[[Client], bool]] = {
    "4.1.1 the offset does not decrease": offset_keeps_growing,
    "4.1.1 bytes that are lost end the upload": lost_bytes_end_it,
    "4.1.1 an offset that is no integer is ignored, so it is missing": odd_offsets_are_ignored,
    "4.1.2 after its end no byte is appended": nothing_follows_the_end,
    "4.1.4 limits do not tighten": limits_do_not_tighten,
    "4.1 other values than the type of a field are ignored": odd_fields_are_ignored,
    "4.1.3 lengths match, in one request and in several": lengths_must_match,
    "4.1.3 also where the body does not say its own": it_does_not_end_before_its_length,
    "4.1.4 OPTIONS has Upload-Limit, min-size=0 without limits": options_tell_limits,
    "4.2.2 creation has Location and Upload-Limit": creation_tells_the_resource,
    "4.2.2 creation records the length": creation_records_the_length,
    "4.2.2 the whole in one request": everything_in_one_request,
    "4.3.2 offset retrieval has offset, completeness, length and limits": state_is_told,
    "4.4.2 an interrupted append is not complete": interrupted_is_not_complete,
    "4.4.2 another offset is 409 with the right one": wrong_offset_is_told,
    "4.4.2 the last response is that of the resource": last_response_is_the_resource_s,
    "4.4.2 and so are its errors": errors_of_the_resource_are_told_apart,
    "4.4.2 append records the length": append_records_the_length,
    "4.1.3 the length alone does not complete an upload": length_alone_does_not_complete,
    "4.1.4 413 tells the limits": too_large_tells_limits,
    "4.3.2 a complete upload says so": complete_is_told,
    "4.6 an offset that was told can be used": offset_can_be_used,
    "7.1 the problem of another offset": another_offset_has_its_problem,
    "4.4.2 the offset never exceeds the length": beyond_the_length_it_ends,
    "4.4.2 also not by a body that breaks off": beyond_the_length_it_ends_although_it_breaks_off,
    "4.5.2 a cancelled upload is gone": cancelled_is_gone,
    "6 the media type": other_media_types_are_refused,
    "draft versions: others are refused": other_versions_are_refused,
    "draft versions: 5 to 7 are spoken": older_versions_are_spoken,
    "10.1 Repr-Digest": repr_digest_is_checked,
    "10.2 Content-Digest": content_digest_is_checked,
}


@pytest.mark.parametrize("must", MUSTS)
def test_it_conforms_to_the_draft(client: Client, must: str) -> None:
    assert MUSTS[must](client)
