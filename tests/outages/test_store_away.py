"""A store on its own filesystem is unmounted, so that an empty folder is in its place."""

import os
import signal

import requests

from tests.outages.disks import Shaky
from tests.outages.requesting import delete, get, link, refused_for_now, stream
from tests.production.parts import children, pid_of
from tests.services import await_, used_up
from vimeo_api.core.storage.mount_check import NOT_MOUNTED

ROW = "the store, where it is a filesystem of its own"


def test_old_files_get_503_and_new_ones_work_without_the_store(shaky: Shaky) -> None:
    service = shaky.service
    old, hot, doomed, once = stream(service), stream(service), stream(service), link(service)
    await_(lambda: not shaky.files("incoming"), 60)  # so they are served from the store
    for _ in range(4):  # so often that nginx keeps where it lies
        assert get(hot).status_code == 200
    before = shaky.files("store")
    with shaky.unmounted():
        for url in (old, hot, once):
            assert refused_for_now(get(url)), get(url).text
        assert requests.head(once, timeout=60).status_code == 503
        assert refused_for_now(delete(doomed))
        assert get(f"{service.url}/readyz").status_code == 503
        new, new_once = stream(service, b"new"), link(service, b"new")
        assert get(new).content == b"new"
        assert (get(new_once).content, used_up(new_once)) == (b"new", True)
        assert shaky.reconcile("--age", "0") == f"Error: {NOT_MOUNTED}\n1\n"
        # A process that starts now knows no more than the others.
        for pid in children(pid_of(service, "web")):
            os.kill(pid, signal.SIGKILL)
        await_(lambda: get(new).status_code == 200)
        assert refused_for_now(get(old))
        assert get(stream(service, b"later")).content == b"later"
        assert shaky.files("store") == set()
    await_(lambda: get(f"{service.url}/readyz").status_code == 200)
    assert {get(url).content for url in (old, hot, once)} == {b"content"}
    assert get(new).content == b"new"
    assert len(before & shaky.files("store")) >= 3
    assert delete(doomed).status_code == 200
    assert get(doomed).status_code == 404
