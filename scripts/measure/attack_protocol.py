"""Hostile HTTP: headers, addresses, methods, origins, tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from scripts.measure.attack_wire import Attack

_LIST: Final = b"/datastore/?output=all"
_LABEL: Final = b"/datastore/label?image=submitted"
_FORM: Final = (b"Content-Type", b"application/x-www-form-urlencoded")


def attacks_by_protocol() -> Iterator[Attack]:
    """Requests that are wrong before anything of them is read."""
    yield from _headers()
    yield from _addresses()
    yield from _origins()
    yield from _tokens()
    yield from _closed()
    yield from _queries()


def _headers() -> Iterator[Attack]:
    many = tuple((b"X-Header-%d" % number, b"x") for number in range(2000))
    bombs = {
        "2000 headers": many,
        "a header of 200 kB": ((b"X-Bomb", b"a" * 200_000),),
        "a cookie of 200 kB": ((b"Cookie", b"a=" + b"a" * 200_000),),
        "a header's name of 70 kB": ((b"X" * 70_000, b"a"),),
    }
    for what, headers in bombs.items():
        yield Attack("header bomb", what, "GET", _LIST, headers, may_be_parsers=True)
    lengths = {
        "negative": b"-1",
        "no number": b"ten",
        "two numbers": b"1, 2",
        "beyond all disks": b"99999999999999999",
        "a number of 100 digits": b"9" * 100,
    }
    for what, length in lengths.items():
        headers = ((b"Content-Length", length), _FORM)
        yield Attack("length", what, "PUT", _LABEL, headers, b"a=1", may_be_parsers=True)
    both = ((b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"5"), _FORM)
    yield Attack("length", "chunks and a length", "PUT", _LABEL, both, b"0\r\n\r\n", True)
    twice = ((b"Content-Length", b"5"), (b"Content-Length", b"6"), _FORM)
    yield Attack("length", "two lengths", "PUT", _LABEL, twice, b"a=1bc", True)
    coding = ((b"Transfer-Encoding", b"gzip, identity"), _FORM)
    yield Attack("length", "unknown coding", "PUT", _LABEL, coding, b"a=1", True)
    chunks = ((b"Transfer-Encoding", b"chunked"), _FORM)
    yield Attack("length", "a bad chunk", "PUT", _LABEL, chunks, b"zz\r\nabc\r\n0\r\n\r\n", True)
    folded = ((b"X-Folded", b"a\r\n b: c"),)
    yield Attack("header", "folded", "GET", b"/datastore/image?image=nobody", folded, b"", True)
    control = ((b"X-Control", b"a\x00b"),)
    yield Attack("header", "NUL", "GET", b"/datastore/image?image=nobody", control, b"", True)


def _addresses() -> Iterator[Attack]:
    targets = {
        "overlong UTF-8": b"/datastore/image?image=..%c0%afsecret",
        "overlong UTF-8 in the path": b"/review/cases/..%c0%af..%c0%afsecret",
        "no UTF-8": b"/datastore/image?image=%ff%fe",
        "no UTF-8 in the path": b"/review/cases/%ff%fe",
        "an encoded NUL in the path": b"/review/cases/new%00",
        "encoded line break in the path": b"/review/cases/new%0d%0aX:1",
        "a slash, encoded twice": b"/datastore/image?image=..%252fsecret",
        "half an encoding": b"/datastore/image?image=%2",
        "%u": b"/datastore/image?image=%u002e%u002e%u2215secret",
        "fullwidth dots": b"/datastore/image?image=%ef%bc%8e%ef%bc%8e%ef%bc%8fsecret",
        "dots in the path": b"/datastore/../review/../../etc/passwd",
        "encoded dots in the path": b"/static/%2e%2e/%2e%2e/app.py",
        "backslashes in the path": b"/static/..\\..\\app.py",
        "encoded backslashes": b"/static/..%5c..%5capp.py",
        "semicolons": b"/static/..;/..;/app.py",
        "an absolute path": b"/static//etc/passwd",
        "two slashes": b"//etc/passwd",
        "OHIF's pages": b"/ohif/..%2f..%2f..%2fapp.py",
        "a folder of pages": b"/static/",
        "an address of 100 kB": b"/datastore/image?image=" + b"a" * 100_000,
        "a path of 50 kB": b"/review/cases/" + b"a" * 50_000,
        "a path of 5000 segments": b"/a" * 5000,
        "10 000 parameters": b"/datastore/image?" + b"&".join([b"image=a"] * 10_000),
        "a template": b"/datastore/image?image={{7*7}}",
        "another's address": b"http://127.0.0.1:1/datastore/image?image=x",
    }
    for what, target in targets.items():
        yield Attack("address", what, "GET", target, may_be_parsers=True)
    for method in ("TRACE", "CONNECT", "PATCH", "PROPFIND", "DEBUG", "OPTIONS", "BREW"):
        yield Attack("method", method, method, b"/datastore/label?label=submitted&tag=final")
    yield Attack("method", "POST where PUT is meant", "POST", _LABEL)
    yield Attack("method", "DELETE of everything", "DELETE", b"/datastore/")
    unknown = ("/admin", "/.git/config", "/.env", "/.parotid/readers.json", "/wp-login.php")
    unknown += ("/store.sqlite", "/labels/final/submitted.seg.nrrd", "/review", "/review/x")
    unknown += ("/datastore/label/file", "/infer", "/infer/wsi/two_step", "/wsi/x", "/cmd?c=id")
    for path in unknown:
        yield Attack("unknown route", path, "GET", path.encode())


def _origins() -> Iterator[Attack]:
    for what, origin in (("another site", b"https://evil.example"), ("no site", b"null")):
        headers = ((b"Origin", origin), _FORM)
        body = b"params=%7B%22segmentationMeta%22%3A%7B%22status%22%3A%22flagged%22%7D%7D"
        target = b"/datastore/updatelabelinfo?label=submitted&tag=final"
        yield Attack("origin", f"{what} reviews", "PUT", target, headers, body)
        target = b"/activelearning/random"
        yield Attack("origin", f"{what} asks for the next case", "POST", target, headers)
        asked = (*headers, (b"Access-Control-Request-Method", b"PUT"))
        yield Attack("origin", f"{what} asks beforehand", "OPTIONS", _LABEL, asked)
    for what, host in (
        ("another host", b"evil.example"),
        ("another host with our port", b"evil.example:8000"),
        ("a host that begins like ours", b"127.0.0.1.evil.example"),
        ("a name before ours", b"evil@127.0.0.1"),
        ("no host", b""),
        ("two hosts", b"127.0.0.1, evil.example"),
    ):
        yield Attack("host", what, "GET", _LIST, ((b"Host", host),), may_be_parsers=True)
    twice = ((b"Host", b"127.0.0.1"), (b"Host", b"evil.example"))
    yield Attack("host", "two headers", "GET", _LIST, twice, may_be_parsers=True)


def _tokens() -> Iterator[Attack]:
    """Tokens that nobody issued; where somebody has a good one too, two headers are no token."""
    none = b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJFdmUiLCJyb2xlIjoiYWRtaW4ifQ."
    tokens = {
        "alg none": b"Bearer " + none,
        "junk": b"Bearer x.y.z",
        "empty": b"Bearer ",
        "1 MB": b"Bearer " + b"a" * 60_000,
        "basic": b"Basic RXZlOng=",
        "no scheme": none,
        "not ASCII": b"Bearer \xff\xfe",
    }
    for what, token in tokens.items():
        yield Attack("token", what, "GET", _LIST, ((b"Authorization", token),), may_be_parsers=True)


def _closed() -> Iterator[Attack]:
    """What the framework leaves open."""
    yield Attack("closed", "reload", "POST", b"/reload")
    yield Attack("closed", "reload by GET", "GET", b"/reload")
    form = (b"Content-Type", b"multipart/form-data; boundary=x")
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="m.pt"'
    part = head + b"\r\n\r\nx\r\n--x--\r\n"
    for model in ("two_step", "parotid_gland", "..%2fx"):
        target = f"/model/{model}".encode()
        yield Attack("closed", f"upload of {model}", "PUT", target, (form,), part)
        yield Attack("closed", f"removal of {model}", "DELETE", target)
    absent = (
        b"/datastore/image?id=nobody",
        b"/datastore/?id=nobody",
        b"/datastore/label?id=nobody&tag=final",
        b"/datastore/label?id=submitted&tag=version_9",
        b"/datastore/label?id=new&tag=final",
        b"/datastore/label?id=approved&tag=final",
        b"/session/nobody",
    )
    for target in absent:
        yield Attack("removal", target.decode(), "DELETE", target)


def _queries() -> Iterator[Attack]:
    targets = (
        b"/datastore/?output=everything",
        b"/review/cases?offset=-1",
        b"/review/cases?limit=0",
        b"/review/cases?limit=1000000000",
        b"/review/cases?offset=99999999999999999999",
        b"/review/cases?state=done",
        b"/review/cases?contains=" + b"a" * 5000,
        b"/review/cases?consensus=maybe",
        b"/review/cases?contains=%00",
        b"/review/cases?initial_author=%00",
        b"/review/cases?contains=%ff",
        b"/review/journal?offset=x",
        b"/review/journal?limit=-5",
        b"/review/cases/submitted/versions/0",
        b"/review/cases/submitted/versions/-1",
        b"/review/cases/submitted/versions/1e3",
        b"/review/cases/submitted/versions/99999999999999999999999999",
        b"/review/cases/nobody",
        b"/datastore/label?label=submitted&tag=version_0",
        b"/datastore/label?label=submitted&tag=version_99999",
        b"/logs/?lines=-1",
        b"/logs/?lines=x",
        b"/logs/?logfile=..%2f..%2fx&lines=x",
    )
    for target in targets:
        yield Attack("query", target[:60].decode(), "GET", target)
