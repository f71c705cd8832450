"""The requests that we and nginx send to an object store: addresses, signatures, headers and certificates."""

import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.object_stores import answering
from tests.production.test_sharing import listens
from tests.services import await_, free_port
from vimeo_api import config
from vimeo_api.config import ConfigError
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.storage.buckets import Refused
from vimeo_api.core.storage.object_store import ObjectStore
from vimeo_api.extensions import bucket
from vimeo_api.service_commands.nginx import objects_upstream

KEY = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
SERVER = "https://objects.example.org:9000"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """The certificate of localhost that nobody trusts, with its key."""
    pem = tmp_path / "server.pem"
    names = ["-subj", "/CN=server", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=CA:FALSE"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    made_by = ["openssl", "req", "-x509", *curve, "-nodes", *names, "-keyout", str(pem), "-out", f"{pem}.crt"]
    subprocess.run(made_by, check=True, capture_output=True)
    pem.write_text(pem.read_text() + Path(f"{pem}.crt").read_text())
    return pem


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def given(folder: Path) -> dict[str, str]:
    return {"DATA_DIR": str(folder), "PROFILE": "embedded", **KEY, "STORE_URL": "s3://files/p"}


def store(folder: Path, **settings: str) -> ObjectStore:
    """Return the object store of settings."""
    values = config.check(config.load(given(folder) | settings))
    return ObjectStore(bucket(values), folder / "drafts")


@pytest.mark.parametrize(
    ("settings", "host", "path"),
    [
        ({"STORE_ENDPOINT": SERVER}, "objects.example.org:9000", "/files/p/streams/ab/abcd"),
        (
            {"STORE_ENDPOINT": SERVER, "STORE_PATH_STYLE": "0"},
            "files.objects.example.org:9000",
            "/p/streams/ab/abcd",
        ),
        ({"STORE_REGION": "eu-west-1"}, "files.s3.eu-west-1.amazonaws.com", "/p/streams/ab/abcd"),
    ],
)
def test_nginx_is_sent_to_a_signed_path_at_the_host_that_the_signature_covers(
    tmp_path: Path, settings: dict[str, str], host: str, path: str
) -> None:
    objects = store(tmp_path, **settings)
    assert (objects.scheme, objects.host) == ("https", host)
    internal = urlsplit(objects.internal("streams", "abcd"))
    assert internal.path == f"objects{path}"
    signed = parse_qs(internal.query)
    assert (signed["X-Amz-SignedHeaders"], signed["X-Amz-Expires"]) == (["host"], ["3600"])
    assert signed["X-Amz-Credential"][0].startswith("key/")
    assert signed["X-Amz-Credential"][0].endswith(f"/{settings.get('STORE_REGION', 'us-east-1')}/s3/aws4_request")


@pytest.mark.parametrize(
    ("endpoint", "server"),
    [
        ("https://objects.example.org", "objects.example.org:443"),
        ("http://objects.example.org:9000", "objects.example.org:9000"),
        ("http://[fd00::1]", "[fd00::1]:80"),
        ("http://[fd00::1]:9000", "[fd00::1]:9000"),
    ],
)
def test_nginx_gets_the_address_and_port_of_the_server(tmp_path: Path, endpoint: str, server: str) -> None:
    assert f"server {server} max_fails=0;" in objects_upstream(
        config.load(given(tmp_path) | {"STORE_ENDPOINT": endpoint})
    )


def test_the_session_token_is_part_of_the_signed_path(tmp_path: Path) -> None:
    objects = store(tmp_path, STORE_ENDPOINT=SERVER, AWS_SESSION_TOKEN="of-the-session")
    assert parse_qs(objects.internal("s", "b").partition("?")[2])["X-Amz-Security-Token"] == ["of-the-session"]


@pytest.mark.parametrize(("size", "first"), [(10, "PUT"), (9 * 1024**2, "POST")])
def test_encryption_is_asked_for_with_every_object(tmp_path: Path, size: int, first: str) -> None:
    (tmp_path / "content").write_bytes(bytes(size))
    with answering() as fake, (tmp_path / "content").open("rb") as source, suppress(Unavailable):
        wanted = {"STORE_ENDPOINT": fake.endpoint, "STORE_ENCRYPTION": "aws:kms", "STORE_KMS_KEY": "ours"}
        with store(tmp_path, **wanted).receiving("s", "b") as draft:
            assert draft is not None
            draft.copy(source.fileno(), "sha256", lambda _: None)  # in parts, it fails after the first answer
    method, _, headers = fake.requests[0]
    assert method == first
    assert headers["x-amz-server-side-encryption"] == "aws:kms"
    assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "ours"


@pytest.mark.parametrize(("checksum", "is_signed"), [("crc64nvme", False), ("sha256", True)])
def test_every_object_has_a_checksum(tmp_path: Path, checksum: str, *, is_signed: bool) -> None:
    with answering() as fake, suppress(Unavailable):  # it does not know how to list
        store(tmp_path, STORE_ENDPOINT=fake.endpoint, STORE_CHECKSUM=checksum).check_access()
    _, _, headers = fake.requests[0]
    assert f"x-amz-checksum-{checksum}" in headers
    assert (headers["x-amz-content-sha256"] != "UNSIGNED-PAYLOAD") == is_signed


def test_a_server_is_trusted_only_with_its_certificate(tmp_path: Path, certificate: Path, tls: ssl.SSLContext) -> None:
    with answering(tls=tls) as fake:
        with pytest.raises(Refused, match="does not trust the certificate"):
            store(tmp_path, STORE_ENDPOINT=fake.endpoint).answers()
        store(tmp_path, STORE_ENDPOINT=fake.endpoint, STORE_CA_FILE=f"{certificate}.crt").answers()


@pytest.mark.slow
def test_nginx_trusts_it_only_with_its_certificate(tmp_path: Path, certificate: Path, tls: ssl.SSLContext) -> None:
    with answering(tls=tls, content=b"content") as fake:
        known = {"STORE_ENDPOINT": fake.endpoint, "STORE_CA_FILE": f"{certificate}.crt"}
        with proxied(tmp_path, **known) as url:
            assert requests.get(f"{url}/streams/ab/abcd", timeout=10).content == b"content"
        unknown = known | {"STORE_CA_FILE": ""}
        with proxied(tmp_path, **unknown) as url:
            assert requests.get(f"{url}/streams/ab/abcd", timeout=10).status_code == 502
    assert {path for _, path, _ in fake.requests} == {"/streams/ab/abcd"}


@contextmanager
def proxied(folder: Path, **settings: str) -> Iterator[str]:
    """Run an nginx with our lines about the object store; yield where it passes requests on."""
    values = config.load(given(folder) | settings)
    port = free_port()
    site = f"""
        daemon off; pid {folder}/nginx.pid; events {{ }}
        http {{
            access_log off; proxy_temp_path {folder}/proxy; client_body_temp_path {folder}/body;
            fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
            map $uri $vimeo_api_conditional {{ default ""; }}
            {objects_upstream(values)}
            server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass https://vimeo_api_objects; }} }}
        }}"""
    (folder / "nginx.conf").write_text(site)
    log = folder / "nginx.log"
    nginx = subprocess.Popen(["nginx", "-p", str(folder), "-e", str(log), "-c", str(folder / "nginx.conf")])
    try:
        await_(lambda: nginx.poll() is not None or listens(port))
        assert nginx.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        nginx.terminate()
        nginx.wait()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"STORE_ENDPOINT": SERVER, "STORE_CA_FILE": "/nowhere.pem"}, "/nowhere.pem cannot be read: No such file"),
        ({"STORE_ENDPOINT": SERVER, "STORE_CA_FILE": __file__}, "contains no certificates in PEM"),
        ({"STORE_ENDPOINT": "http://objects", "STORE_CA_FILE": __file__}, "no effect with a STORE_ENDPOINT of http://"),
        ({"STORE_KMS_KEY": "ours"}, "STORE_KMS_KEY has no effect"),
        ({"STORE_ENDPOINT": "ftp://objects"}, "it is not http:// or https:// with a host"),
        ({"STORE_URL": "https://objects/files"}, "STORE_URL"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY need each other"),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "t"},
            "AWS_SESSION_TOKEN has no effect",
        ),
        ({"STORE_URL": "", "PLACE": "through"}, "PLACE=through has no effect"),
        ({"STORE_CHECKSUM": "md5"}, "STORE_CHECKSUM"),
        ({"AWS_SECRET_ACCESS_KEY": "two\nlines"}, "AWS_SECRET_ACCESS_KEY: it has a space, a line break"),
        ({"STORE_PATH_STYLE": "0", "STORE_ENDPOINT": "http://10.0.0.1:9000"}, "STORE_ENDPOINT has an address"),
        ({"STORE_URL": "s3://files.example.org"}, "STORE_PATH_STYLE must be 1 for a bucket with a dot"),
        ({"STORE_URL": f"s3://files/{'a' * 900}"}, "STORE_URL: its prefix is too long"),
        ({"STORE_ENDPOINT": "http://10.0.0.300"}, "STORE_ENDPOINT"),
        ({"STORE_REGION": "EU West"}, "it is not a region such as us-east-1"),
    ],
)
def test_the_start_says_which_setting_is_wrong(tmp_path: Path, settings: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        store(tmp_path, **settings)
