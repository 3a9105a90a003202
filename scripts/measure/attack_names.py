"""Hostile names in every place where a request can have one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from scripts.measure.attack_labels import good_labels
from scripts.measure.attack_wire import Attack, Upload, multipart

from parotid_brachy.lib.imaging.label_encoding import nifti_bytes
from parotid_brachy.lib.imaging.volume import Grid

PATHS: Final = {
    "parent": "../secret.nii.gz",
    "far parent": "../../../../../../../../etc/passwd",
    "absolute": "/etc/passwd",
    "backslashes": "..\\..\\secret",
    "drive": "C:\\Windows\\win.ini",
    "file URL": "file:///etc/passwd",
    "web URL": "http://127.0.0.1:1/x",
    "doubled dots": "....//....//secret",
    "dot": ".",
    "two dots": "..",
    "own folder": ".parotid",
    "readers file": ".parotid/readers.json",
    "by way of a case": "new/../../secret",
    "encoded twice": "%2e%2e%2fsecret",
    "NUL": "new\0.nii.gz",
    "line break": "new\r\nX-Injected: 1",
    "text direction": "new\u202egz.ii",
    "home": "~/secret",
    "command": "$(touch secret)",
    "pipe": "|touch secret",
    "query": "' OR 1=1 --",
    "too long": "a" * 300,
    "device": "/dev/zero",
}
"""What is no id, no tag and no name of a task."""

_ID_PLACES: Final = (
    ("GET", "/datastore/image?image={}"),
    ("GET", "/datastore/image/info?image={}"),
    ("PUT", "/datastore/image/info?image={}"),
    ("GET", "/datastore/label?label={}&tag=final"),
    ("GET", "/datastore/label?label=submitted&tag={}"),
    ("GET", "/datastore/label/info?label={}&tag=final"),
    ("PUT", "/datastore/label/info?label=submitted&tag={}"),
    ("PUT", "/datastore/updatelabelinfo?label={}&tag=final"),
    ("DELETE", "/datastore/label?id={}&tag=version_1"),
    ("DELETE", "/datastore/label?id=submitted&tag={}"),
    ("DELETE", "/datastore/image?id={}"),
    ("DELETE", "/datastore/?id={}"),
    ("POST", "/infer/two_step?image={}"),
    ("POST", "/infer/two_step?session_id={}"),
)
_SEGMENT_PLACES: Final = (
    ("POST", "/infer/{}?image=new"),
    ("POST", "/activelearning/{}"),
    ("POST", "/train/{}"),
    ("POST", "/scoring/{}"),
    ("POST", "/batch/infer/{}"),
    ("GET", "/session/{}"),
    ("DELETE", "/session/{}"),
    ("GET", "/model/{}"),
    ("GET", "/model/info/{}"),
    ("GET", "/review/cases/{}"),
    ("GET", "/review/cases/{}/versions"),
    ("GET", "/review/cases/submitted/versions/{}/file"),
    ("POST", "/review/cases/{}/transitions"),
    ("GET", "/static/{}"),
)
_FORM: Final = (b"Content-Type", b"application/x-www-form-urlencoded")
_JSON: Final = (b"Content-Type", b"application/json")
_META: Final = {
    "status": "flagged",
    "level": "hard",
    "approvedBy": "Eve",
    "comment": "attack",
    "editTime": 1,
}
_WEB_PATHS: Final = (
    "..%2f..%2fsystem",
    "%2e%2e/%2e%2e/system",
    "..%252f..%252fsystem",
    "..;/system",
    "..\\system",
    "..%5csystem",
    "studies/..%2f..%2finstances",
    "%2fetc%2fpasswd",
    "http:%2f%2f127.0.0.1%2f",
    "@127.0.0.1/",
    "studies%00",
    "studies%0d%0aHost:%20evil",
)


def attacks_by_name(grid: Grid) -> Iterator[Attack]:
    """Every hostile name in every place.

    Args:
        grid: of the cases' images, so that nothing but the name is wrong.
    """
    for what, name in PATHS.items():
        for method, place in _ID_PLACES:
            yield _at(method, place, what, quote(name, safe=""))
        yield from _uploads(what, name, grid)
    # What has no slash is a name that nobody has, and 404 an honest answer; too long a one also.
    for what, name in PATHS.items():
        if name in {".", ".."}:
            continue
        for method, place in _SEGMENT_PLACES:
            yield _at(method, place, what, quote(name, safe=""))
    yield from _in_params()
    for path in _WEB_PATHS:
        for service in ("", "wado/", "qido/", "stow/"):
            target = f"/proxy/dicom/{service}{path}"
            yield Attack("DICOMweb proxy", path, "GET", target.encode())
    yield Attack("DICOMweb proxy", "POST", "POST", b"/proxy/dicom/instances", body=b"x")


def _at(method: str, place: str, what: str, name: str) -> Attack:
    path = place.split("?", maxsplit=1)[0]
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body = b""
    if "info" in path and method == "PUT":
        field = "params" if "updatelabelinfo" in path else "info"
        told = {"note": "attack"} if "image" in path else {"segmentationMeta": _META}
        headers, body = (_FORM,), f"{field}={quote(json.dumps(told))}".encode()
    elif path.endswith("transitions"):
        told = {"action": "comment", "tag": "final", "comment": "attack"}
        headers, body = (_JSON,), json.dumps(told).encode()
    elif method == "POST" and path.startswith(("/activelearning", "/train", "/batch")):
        headers, body = (_JSON,), b"{}"
    target = place.format(name).encode()
    return Attack(f"name in {method} {path}", what, method, target, headers, body)


def _uploads(what: str, name: str, grid: Grid) -> Iterator[Attack]:
    """A good label map or image that would be kept, under a hostile name."""
    content = nifti_bytes(good_labels(grid), grid)
    header, body = multipart({"params": "{}"}, Upload("label", "label.nii.gz", content))
    for place in ("image={}", "image=new&tag={}"):
        target = f"/datastore/label?{place.format(quote(name, safe=''))}".encode()
        yield Attack(f"name in PUT /datastore/label?{place}", what, "PUT", target, (header,), body)
    header, body = multipart({}, Upload("file", "image.nii.gz", content))
    for path in ("/datastore/image", "/datastore/"):
        target = f"{path}?image={quote(name, safe='')}".encode()
        yield Attack(f"name in PUT {path}?image=", what, "PUT", target, (header,), body)


def _in_params() -> Iterator[Attack]:
    """Names within JSON, which is read after everything else."""
    for what in ("parent", "absolute", "backslashes", "NUL", "own folder", "too long", "two dots"):
        name = PATHS[what]
        for key in ("label_tag", "result_extension", "gland_model", "organs_at_risk_model"):
            header, body = multipart({"params": json.dumps({key: name})})
            target = b"/infer/two_step?image=new"
            yield Attack(f"params.{key} of /infer", what, "POST", target, (header,), body)
        told: dict[str, Any]
        for key in ("name", "train_ds", "val_split", "pretrained"):
            told = {key: name}
            body = json.dumps(told).encode()
            yield Attack(f"{key} of /train", what, "POST", b"/train/two_step", (_JSON,), body)
        told = {"label_tag": name, "images": [name]}
        body = json.dumps(told).encode()
        target = b"/batch/infer/two_step"
        yield Attack("params of /batch/infer", what, "POST", target, (_JSON,), body)
        told = {"action": "approve", "tag": name}
        target = b"/review/cases/submitted/transitions"
        body = json.dumps(told).encode()
        yield Attack("tag of a transition", what, "POST", target, (_JSON,), body)
