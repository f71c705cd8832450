"""Origins that are odd and yet serve a whole file, for the tests of the client and of both profiles."""

from dataclasses import dataclass, field

from tests.origin import Origin, Page, noise

SMALL = noise(5_000)
LARGE = noise(1_000_000)
_SIZED = b"Content-Length: 5000\r\n"


@dataclass
class Odd:
    """A page, others that it redirects to, and what the file is in the end."""

    page: Page
    content: bytes = SMALL
    further: dict[str, Page] = field(default_factory=dict)

    def serve(self, origin: Origin, path: str = "/file") -> str:
        """Serve the pages, and return the URL of the first."""
        for place, page in self.further.items():
            origin.serve(place, page)
        return origin.serve(path, self.page)


def _raw(head: bytes, body: bytes = SMALL) -> Odd:
    return Odd(Page(raw=head + b"\r\n" + body))


def _redirect(location: str, path: str) -> Odd:
    return Odd(Page(location=location), further={path: Page(SMALL)})


ODD = {
    **{f"{status} to a range": Odd(Page(LARGE, range_status=status), LARGE) for status in (400, 403, 405, 501)},
    "400 to the second range": Odd(Page(LARGE, range_status=400, ranges_given=1), LARGE),
    "Accept-Ranges: none": Odd(Page(LARGE, headers={"Accept-Ranges": "none"}), LARGE),
    "Bytes": _raw(b"HTTP/1.1 206 OK\r\nContent-Range: Bytes 0-4999/5000\r\n" + _SIZED),
    "bytes=": _raw(b"HTTP/1.1 206 OK\r\nContent-Range: bytes=0-4999/5000\r\n" + _SIZED),
    "part of an unknown whole": Odd(
        Page(
            SMALL, first=[Page(raw=b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-4999/*\r\n" + _SIZED + b"\r\n" + SMALL)]
        )
    ),
    "part without Content-Range": Odd(
        Page(SMALL, first=[Page(raw=b"HTTP/1.1 206 OK\r\n" + _SIZED + b"\r\n" + SMALL)]),
    ),
    "a part that is the whole, without a range": Odd(
        Page(
            range_status=400,
            raw=b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-4999/5000\r\n" + _SIZED + b"\r\n" + SMALL,
        )
    ),
    "no reason": _raw(b"HTTP/1.1 200\r\n" + _SIZED),
    "HTTP/1.0": _raw(b"HTTP/1.0 200 OK\r\n" + _SIZED),
    "early hints": _raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n" + _SIZED),
    "trailers": _raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n",
        b"1388;note=x\r\n" + SMALL + b"\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n",
    ),
    "lengths that agree": _raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000, 5000\r\n"),
    "a charset as coding": _raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: UTF-8\r\n" + _SIZED),
    "fragment": _redirect("/real#part", "/real"),
    "blanks": _redirect(" /a file.bin ", "/a%20file.bin"),
    "letters": _redirect("/отчёт".encode().decode("latin-1"), "/%D0%BE%D1%82%D1%87%D1%91%D1%82"),
    "relative": _redirect("../x/./real", "/x/real"),
    "cookie": Odd(
        Page(location="/real", headers={"Set-Cookie": "seen=yes; Path=/"}),
        LARGE,
        {"/real": Page(LARGE, cookie="seen=yes")},
    ),
    "chain": Odd(
        Page(location="/step-1"),
        further={
            **{f"/step-{step}": Page(location=f"/step-{step + 1}") for step in range(1, 12)},
            "/step-12": Page(SMALL),
        },
    ),
}

# The headers of /data.csv, and the name that its bytes then have.
NAMED = [
    ({"Content-Encoding": "gzip"}, "data.csv.gz"),
    ({"Content-Encoding": "X-GZIP", "Content-Disposition": "attachment; filename=a.tar.gz"}, "a.tar.gz"),
    ({"Content-Encoding": "gzip", "Content-Disposition": "attachment; filename=A.TGZ"}, "A.TGZ"),
    ({"Content-Encoding": "gzip", "Content-Type": "application/x-gzip"}, "data.csv"),
    ({"Content-Encoding": "br"}, "data.csv.br"),
    ({"Content-Encoding": "zstd"}, "data.csv.zst"),
    ({"Content-Encoding": "compress"}, "data.csv.Z"),
    ({"Content-Encoding": "none"}, "data.csv"),
    ({"Content-Disposition": 'attachment; filename="=?utf-8?B?0L7RgtGH0ZHRgi54bHM=?="'}, "отчёт.xls"),
    ({"Content-Disposition": "attachment; filename==?utf-8?Q?=D0=BE=D1=82.xls?="}, "от.xls"),
    ({"Content-Disposition": "attachment; filename=my report (final).pdf; size=3"}, "my report (final).pdf"),
    ({"Content-Disposition": 'filename="bare.pdf"'}, "bare.pdf"),
    ({"Content-Disposition": 'inline;filename = "tight.pdf"'}, "tight.pdf"),
]
