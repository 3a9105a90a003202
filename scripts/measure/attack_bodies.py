"""Hostile bodies: label maps, images, sessions, JSON, forms."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from scripts.measure.attack_labels import bad_labels, good_labels
from scripts.measure.attack_wire import Attack, Upload, multipart

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.imaging.label_encoding import nifti_bytes, nrrd_bytes
from parotid_brachy.lib.imaging.volume import Grid

_LABEL: Final = b"/datastore/label?image=submitted"
_IMAGE: Final = b"/datastore/image?image=planted"
_JSON: Final = (b"Content-Type", b"application/json")
_FORM: Final = (b"Content-Type", b"application/x-www-form-urlencoded")
_DEEP: Final = 100_000
_BOMB_BYTES: Final = 300 * 1024**2
# The next case is asked for without any words, and nothing of these is read or kept.
_NOT_HERE_IN_JSON: Final = frozenset(
    {"NUL", "one key twice", "nothing", "not a number", "infinity", "beyond all numbers"}
    | {"half a surrogate", "UTF-16", "byte order mark"}
)


def attacks_by_body(grid: Grid) -> Iterator[Attack]:
    """Requests whose addresses are good.

    Args:
        grid: of the cases' images.
    """
    for what, name, content in bad_labels(grid):
        header, body = multipart({"params": "{}"}, Upload("label", name, content))
        yield Attack(f"label map, {name}", what, "PUT", _LABEL, (header,), body)
    yield from _label_infos(grid)
    yield from _images(grid)
    yield from _sessions()
    yield from _jsons(grid)
    yield from _forms(grid)
    yield from _transitions()


def _label_infos(grid: Grid) -> Iterator[Attack]:
    """A good map with a list of names that does not fit it."""
    fine = [{"name": s.name, "idx": s.value} for s in STRUCTURES]
    lists: dict[str, Any] = {
        "unknown structures": [{"name": "heart", "idx": 1}],
        "one missing": fine[:-1],
        "one value twice": [*fine, {"name": "skin", "idx": 1}],
        "one name twice": [*fine[:-1], {"name": "skin", "idx": 7}],
        "no numbers": [{"name": s.name, "idx": "one"} for s in STRUCTURES],
        "negative numbers": [{"name": s.name, "idx": -s.value} for s in STRUCTURES],
        "fractions": [{"name": s.name, "idx": s.value + 0.5} for s in STRUCTURES],
        "numbers beyond a byte": [{"name": s.name, "idx": s.value + 256} for s in STRUCTURES],
        "huge numbers": [{"name": s.name, "idx": 10**300} for s in STRUCTURES],
        "lists for names": [{"name": ["skin"], "idx": s.value} for s in STRUCTURES],
        "names too long": [{"name": "a" * 100_000, "idx": s.value} for s in STRUCTURES],
        "no list": {"name": "skin", "idx": 1},
        "a text": "skin",
        "a list of texts": ["skin"],
        "a million entries": [{"name": "skin", "idx": 3}] * 200_000,
    }
    content = nifti_bytes(good_labels(grid), grid)
    for what, value in lists.items():
        params = {"params": json.dumps({"label_info": value})}
        header, body = multipart(params, Upload("label", "label.nii.gz", content))
        yield Attack("label_info", what, "PUT", _LABEL, (header,), body)


def _images(grid: Grid) -> Iterator[Attack]:
    good = nifti_bytes(good_labels(grid), grid)
    uploads = {
        "a program": ("image.py", b"import os\n"),
        "a program as ending": ("x.nii.gz.py", good),
        "a page": ("image.html", b"<script>alert(1)</script>"),
        "no ending": ("image", good),
        "junk": ("image.nii.gz", bytes(range(256)) * 10),
        "empty": ("image.nii.gz", b""),
        "cut": ("image.nii.gz", good[: len(good) // 2]),
        "a bomb": ("image.nii.gz", gzip.compress(bytes(_BOMB_BYTES), 1)),
        "a data file elsewhere": (
            "image.nrrd",
            nrrd_bytes(good_labels(grid), grid).partition(b"\n\n")[0]
            + b"\ndata file: /etc/passwd\n\n",
        ),
    }
    for what, (name, content) in uploads.items():
        header, body = multipart({}, Upload("file", name, content))
        yield Attack("image", what, "PUT", _IMAGE, (header,), body)
        header, body = multipart({"params": "{}"}, Upload("file", name, content))
        target = b"/infer/two_step"
        yield Attack("image to be labelled", what, "POST", target, (header,), body)
    header, body = multipart({}, Upload("file", "submitted.nii.gz", good))
    yield Attack("image", "over another", "PUT", b"/datastore/image", (header,), body)
    header, body = multipart({}, Upload("file", "../planted.nii.gz", b"junk"))
    yield Attack("image", "a path for a name", "PUT", b"/datastore/image", (header,), body)
    header, body = multipart({}, Upload("file", "lib/__init__.py", b"import os\n"))
    target = b"/datastore/image?image=lib%2f__init__"
    yield Attack("image", "a module of the app", "PUT", target, (header,), body)


def _sessions() -> Iterator[Attack]:
    def archive(*members: tuple[str, bytes]) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members:
                file.writestr(name, content)
        return buffer.getvalue()

    bomb = archive(("image.nii", bytes(_BOMB_BYTES)))
    uploads = {
        "a zip bomb": ("image.zip", bomb),
        "a bomb of many files": ("image.zip", archive(*((f"{n}", b"") for n in range(20_000)))),
        "a way out of the archive": ("image.zip", archive(("../../planted", b"x"))),
        "an absolute way out": ("image.zip", archive(("/tmp/planted", b"x"))),  # noqa: S108
        "an archive in an archive": ("image.zip", archive(("image.zip", bomb))),
        "a gzip bomb": ("image.nii.gz", gzip.compress(bytes(_BOMB_BYTES), 1)),
        "a program": ("image.py", b"import os\n"),
        "a path for a name": ("../../planted.py", b"import os\n"),
        "junk": ("image.nii.gz", b"junk"),
        "a damaged archive": ("image.zip", bomb[:100]),
    }
    for what, (name, content) in uploads.items():
        for query in (b"", b"?uncompress=true"):
            header, body = multipart({}, Upload("files", name, content))
            target = b"/session/" + query
            yield Attack("session", f"{what} {query.decode()}", "PUT", target, (header,), body)
    header, body = multipart({}, Upload("files", "a.nii.gz", b"junk"))
    for expiry in (b"-1", b"999999999999999999999", b"x", b"1e9"):
        target = b"/session/?expiry=" + expiry
        yield Attack("session", f"expiry {expiry.decode()}", "PUT", target, (header,), body)


def _bad_json() -> Iterator[tuple[str, bytes]]:
    yield "lists in lists", b"[" * _DEEP + b"]" * _DEEP
    yield "objects in objects", b'{"a":' * _DEEP + b"1" + b"}" * _DEEP
    yield "deep below a good key", b'{"client_id": ' + b"[" * _DEEP + b"]" * _DEEP + b"}"
    yield "a number without end", b'{"client_id": ' + b"9" * 100_000 + b"}"
    yield "one key twice", b'{"client_id": "Ada", "client_id": "Eve"}'
    yield "not a number", b'{"x": NaN}'
    yield "infinity", b'{"x": -Infinity}'
    yield "beyond all numbers", b'{"x": 1e999}'
    yield "cut", b'{"client_id": "A'
    yield "no JSON", b"client_id=Ada"
    yield "a list", b"[]"
    yield "a text", b'"Ada"'
    yield "nothing", b"null"
    yield "bad UTF-8", b'{"client_id": "\xff\xfe"}'
    yield "half a surrogate", b'{"client_id": "\\ud800", "\\ud800": 1}'
    yield "NUL", b'{"client_id": "Ada\\u0000", "\\u0000": 1}'
    yield "UTF-16", '{"client_id": "Ada"}'.encode("utf-16")
    yield "byte order mark", b'\xef\xbb\xbf{"client_id": "Ada"}'


def _jsons(grid: Grid) -> Iterator[Attack]:
    content = nifti_bytes(good_labels(grid), grid)
    for what, text in _bad_json():
        if what not in _NOT_HERE_IN_JSON:
            target = b"/activelearning/random"
            yield Attack("JSON of /activelearning", what, "POST", target, (_JSON,), text)
        target = b"/review/cases/submitted/transitions"
        yield Attack("JSON of a transition", what, "POST", target, (_JSON,), text)
        target = b"/review/cases/new/consensus"
        yield Attack("JSON of a consensus", what, "PUT", target, (_JSON,), text)
        if what == "bad UTF-8":  # in a form, it is text with marks for what is not readable
            continue
        header, body = multipart({"params": "TEXT"}, Upload("label", "l.nii.gz", content))
        body = body.replace(b"TEXT", text)
        yield Attack("JSON in params of a label", what, "PUT", _LABEL, (header,), body)
        header, body = multipart({"params": "TEXT"})
        body = body.replace(b"TEXT", text)
        target = b"/infer/two_step?image=nobody"
        yield Attack("JSON in params of /infer", what, "POST", target, (header,), body)
        target = b"/datastore/image/info?image=new"
        body = b"info=" + quote(text).encode()
        yield Attack("JSON in info of an image", what, "PUT", target, (_FORM,), body)
        for place in ("params", "info"):
            path = "updatelabelinfo" if place == "params" else "label/info"
            target = f"/datastore/{path}?label=submitted&tag=final".encode()
            body = place.encode() + b"=" + quote(text).encode()
            yield Attack(f"JSON in {place} of {path}", what, "PUT", target, (_FORM,), body)


def _transitions() -> Iterator[Attack]:
    """Words that the state table, or the record's form, does not know."""
    fine: dict[str, Any] = {"action": "comment", "tag": "final", "comment": "x"}
    wrong: dict[str, dict[str, Any]] = {
        "unknown action": {"action": "delete"},
        "another's action": {"action": "submit"},
        "no action": {"action": None},
        "extra field": {"approved_by": "Eve"},
        "unknown level": {"level": "x"},
        "long comment": {"comment": "x" * 5000},
        "NUL in a comment": {"comment": "x\0y"},
        "half a surrogate": {"comment": "\ud800"},
        "number for a comment": {"comment": 1},
        "version -1": {"tag": None, "version": -1},
        "version 10^30": {"tag": None, "version": 10**30},
        "version 99": {"tag": None, "version": 99},
        "no version": {"tag": None},
        "approval of nothing": {"action": "approve", "tag": "version_9"},
        "reopening what is not approved": {"action": "reopen"},
    }
    for what, changed in wrong.items():
        body = json.dumps({**fine, **changed}).encode()
        target = b"/review/cases/submitted/transitions"
        yield Attack("transition", what, "POST", target, (_JSON,), body)
    metas: dict[str, Any] = {
        "unknown status": {"status": "done"},
        "a list for a status": {"status": ["approved"]},
        "unknown level": {"level": "x"},
        "long comment": {"comment": "x" * 5000},
        "NUL in a comment": {"comment": "x\0y"},
        "half a surrogate": {"comment": "x\ud800"},
    }
    for what, meta in metas.items():
        told = json.dumps({"segmentationMeta": {"status": "flagged", **meta}})
        body = b"params=" + quote(told).encode()
        target = b"/datastore/updatelabelinfo?label=submitted&tag=final"
        yield Attack("review", what, "PUT", target, (_FORM,), body)
    body = b"params=" + quote('{"label_info": [], "ts": 1}').encode()
    target = b"/datastore/updatelabelinfo?label=submitted&tag=final"
    yield Attack("review", "other fields than the review", "PUT", target, (_FORM,), body)


def _forms(grid: Grid) -> Iterator[Attack]:
    content = nifti_bytes(good_labels(grid), grid)
    header, body = multipart({"params": "{}"}, Upload("label", "label.nii.gz", content))
    kinds = {
        "no type": b"",
        "text": b"text/plain",
        "JSON": b"application/json",
        "no boundary": b"multipart/form-data",
        "another boundary": b"multipart/form-data; boundary=other",
        "an endless boundary": b"multipart/form-data; boundary=" + b"b" * 5000,
        "NUL as boundary": b"multipart/form-data; boundary=\x01",
        "XML": b"application/xml",
    }
    for what, kind in kinds.items():
        headers = ((b"Content-Type", kind),) if kind else ()
        yield Attack("form", what, "PUT", _LABEL, headers, body, may_be_parsers=True)
    yield Attack("form", "cut", "PUT", _LABEL, (header,), body[: len(body) // 2])
    yield Attack("form", "no file", "PUT", _LABEL, *_without_file())
    compressed = (header, (b"Content-Encoding", b"gzip"))
    yield Attack("form", "compressed", "PUT", _LABEL, compressed, gzip.compress(body))
    header, body = multipart({"params": "{}"}, Upload("file", "label.nii.gz", content))
    yield Attack("form", "another field", "PUT", _LABEL, (header,), body)
    header, body = multipart({f"field{n}": "x" for n in range(5000)})
    yield Attack("form", "5000 fields", "PUT", _LABEL, (header,), body)
    header, body = multipart({}, *(Upload(f"f{n}", "a", b"") for n in range(5000)))
    yield Attack("form", "5000 files", "PUT", _LABEL, (header,), body)
    header, body = multipart({"params": "x" * 4_000_000}, Upload("label", "a.nii.gz", content))
    yield Attack("form", "a field of 4 MB", "PUT", _LABEL, (header,), body)
    body = b"--x\r\n" + b"X-Bomb: " + b"a" * 500_000 + b"\r\n\r\n"
    header = (b"Content-Type", b"multipart/form-data; boundary=x")
    yield Attack("form", "a part's header of 500 kB", "PUT", _LABEL, (header,), body)
    form = b"&".join(b"a%d=1" % number for number in range(100_000))
    target = b"/datastore/updatelabelinfo?label=submitted&tag=final"
    yield Attack("form", "100 000 fields", "PUT", target, (_FORM,), form)
    yield Attack("login", "no password", "POST", b"/auth/token", (_FORM,), b"username=Eve")
    long = b"username=Eve&password=" + b"x" * 1_000_000
    yield Attack("login", "a password of 1 MB", "POST", b"/auth/token", (_FORM,), long)
    for what, name in (("NUL", b"Eve%00"), ("a query", b"%27%20OR%201%3D1"), ("a path", b"..%2fx")):
        body = b"grant_type=password&password=x&username=" + name
        yield Attack("login", what, "POST", b"/auth/token", (_FORM,), body)


def _without_file() -> tuple[tuple[tuple[bytes, bytes], ...], bytes]:
    header, body = multipart({"params": "{}"})
    return (header,), body
