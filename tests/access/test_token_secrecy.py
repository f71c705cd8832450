"""No API token is in a log, in Redis, in nginx's caches or in the database: reading those gives no access."""

from secrets import token_hex

from tests.access.guarded import FORM, MIB, PROTECTED, Guarded, call
from tests.production.secret_places import everything_in, written

PATHS = ("/vimeo/api/v1.0/file", "/v1/streams", "/", "/upload", "/upload/a.exe", "/download", "/uploadFile", "/nothing")


def test_no_token_is_logged_or_stored(guarded: Guarded) -> None:
    good = guarded.token(f"good {token_hex(4)}", "*:*", quota=MIB)
    poor = guarded.token(f"poor {token_hex(4)}", "store:list")
    unknown = {"Authorization": f"Bearer va_{token_hex(20)}"}
    stream = call("POST", f"{guarded.url}/v1/streams", data=b"abc", headers=good).json()["id"]
    for _ in range(3):
        call("GET", f"{guarded.url}/v1/streams/{stream}")  # so that nginx keeps something at all
    for token in (good, poor, unknown):
        for path in (*PATHS, f"/v1/streams/{stream}", f"/v1/streams/{stream}?x=1"):
            for method in ("GET", "GET", "GET", "PUT", "POST", "DELETE"):
                call(method, guarded.url + path, headers=token)
        call("POST", f"{guarded.url}/v1/streams", data=bytes(20 * MIB), headers=token)
        call("PUT", guarded.service.vimeo, headers=token, **FORM)
        call("PUT", guarded.service.vimeo, headers=token, **PROTECTED)
        call("POST", f"{guarded.url}/uploadFile", json={"file": "http://127.0.0.1:1/"}, headers=token)
    places = {"output": guarded.service.data.with_name("data.out").read_bytes(), **written(guarded.service.data)}
    if guarded.service.profile == "production":
        places |= {name: everything_in(guarded.service, name) for name in ("redis-broker", "redis-cache")}
        assert any("/nginx/files/" in path for path in places)
    secrets = [token["Authorization"].split()[1].encode() for token in (good, poor, unknown)]
    assert [path for path, text in places.items() if any(secret in text for secret in secrets)] == []
