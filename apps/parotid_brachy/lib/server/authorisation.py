"""Which role each route asks for: one table, and what is not in it does not exist.

The gate looks a request up here before anything else reads it; ``docs/authorisation.md`` is made
from it (``python -m parotid_brachy.lib.server.authorisation``), and a test compares it with the
routes that the running server has.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from starlette.routing import compile_path

from parotid_brachy.lib.review.roles import Role
from parotid_brachy.lib.server.refusals import RequestRefusedError


@dataclass(frozen=True)
class RouteRule:
    """What a route asks for.

    Attributes:
        method: of HTTP.
        path: as a template; ``{name}`` is one segment, ``{name:path}`` any number of them.
        least: the least role that may; None: everybody may, without login.
        note: what it is for, and what else is checked.
        takes_files: whether its body may be as large as an upload may.
        is_stock_reviewers: whether the stock Reviewer uses it without a token.
    """

    method: str
    path: str
    least: Role | None
    note: str
    takes_files: bool = False
    is_stock_reviewers: bool = False


_ANNOTATOR: Final = Role.ANNOTATOR
_REVIEWER: Final = Role.REVIEWER
_ADMIN: Final = Role.ADMIN


def _rules() -> Iterable[RouteRule]:
    yield RouteRule("GET", "/", None, "the API by hand", is_stock_reviewers=True)
    yield RouteRule("GET", "/favicon.ico", None, "an icon")
    for method in ("GET", "HEAD"):
        yield RouteRule(method, "/docs", None, "the API's documentation")
        yield RouteRule(method, "/openapi.json", None, "the API's description")
        yield RouteRule(method, "/static/{path:path}", None, "the pages' files")
    yield RouteRule("GET", "/ohif/{path:path}", None, "OHIF's files; its pages send to the login")
    note = "the page for blind grading; it sends to the login"
    yield RouteRule("GET", "/grading/{path:path}", None, note)

    yield RouteRule("GET", "/auth/", None, "whether a login is needed")
    yield RouteRule("POST", "/auth/token", None, "logs in; failures are slowed down")
    yield RouteRule("GET", "/auth/token/valid", _ANNOTATOR, "whose token it is")
    yield RouteRule("GET", "/auth/login", None, "the page to log in with a browser")
    note = "the browser's session; for this server's own pages"
    yield RouteRule("POST", "/auth/session", None, f"begins {note}; slowed down as /auth/token")
    yield RouteRule("DELETE", "/auth/session", None, f"ends {note}")
    yield RouteRule("POST", "/auth/session/end", None, f"ends {note}")

    yield RouteRule("GET", "/info/", _ANNOTATOR, "models, labels, options")
    yield RouteRule("POST", "/infer/{model}", _ANNOTATOR, "drafts labels", takes_files=True)
    yield RouteRule("POST", "/activelearning/{strategy}", _ANNOTATOR, "the next case")
    yield RouteRule("PUT", "/session/", _ANNOTATOR, "an image for a while", takes_files=True)
    yield RouteRule("GET", "/session/{session_id}", _ANNOTATOR, "who has its id may")
    yield RouteRule("DELETE", "/session/{session_id}", _ANNOTATOR, "who has its id may")

    yield from _datastore()
    yield from _review()
    yield from _grading()
    yield from _jobs()

    for method in ("GET", "HEAD"):
        for prefix in ("", "wado/", "qido/", "stow/"):
            path = f"/proxy/dicom/{prefix}{{path:path}}"
            yield RouteRule(method, path, _ANNOTATOR, "reads DICOMweb resources, and nothing else")


def _datastore() -> Iterable[RouteRule]:
    own = {"is_stock_reviewers": True}
    yield RouteRule("GET", "/datastore/", _ANNOTATOR, "cases and labels; with output=all", **own)
    yield RouteRule("PUT", "/datastore/", _ANNOTATOR, "as /datastore/image", takes_files=True)
    yield RouteRule("DELETE", "/datastore/", _ADMIN, "as /datastore/image")
    yield RouteRule("GET", "/datastore/image", _ANNOTATOR, "an image", **own)
    yield RouteRule("HEAD", "/datastore/image", _ANNOTATOR, "whether there is an image")
    yield RouteRule("PUT", "/datastore/image", _ANNOTATOR, "adds an image", takes_files=True)
    yield RouteRule("DELETE", "/datastore/image", _ADMIN, "takes a case out of the studies")
    yield RouteRule("GET", "/datastore/image/info", _ANNOTATOR, "about an image")
    yield RouteRule("PUT", "/datastore/image/info", _ANNOTATOR, "notes something on an image")
    yield RouteRule("GET", "/datastore/label", _ANNOTATOR, "a label map", **own)
    yield RouteRule("HEAD", "/datastore/label", _ANNOTATOR, "whether there is a label map")
    yield RouteRule(
        "PUT",
        "/datastore/label",
        _ANNOTATOR,
        "saves contours: the state table decides; as version_N",
        takes_files=True,
        is_stock_reviewers=True,
    )
    note = "withdraws contours: the state table decides; of version_N"
    yield RouteRule("DELETE", "/datastore/label", _REVIEWER, note, **own)
    yield RouteRule("GET", "/datastore/label/info", _ANNOTATOR, "about a label map")
    yield RouteRule("PUT", "/datastore/label/info", _REVIEWER, "reviews a label map")
    yield RouteRule("PUT", "/datastore/updatelabelinfo", _REVIEWER, "reviews a label map", **own)
    yield RouteRule("GET", "/datastore/dataset", _REVIEWER, "all approved contours in an archive")


def _review() -> Iterable[RouteRule]:
    yield RouteRule("GET", "/review/me", _ANNOTATOR, "name and role of whoever asks")
    yield RouteRule("GET", "/review/cases", _ANNOTATOR, "cases with their states")
    yield RouteRule("GET", "/review/cases/{case}", _ANNOTATOR, "a case")
    yield RouteRule("GET", "/review/cases/{case}/versions", _ANNOTATOR, "its versions")
    yield RouteRule("GET", "/review/cases/{case}/versions/{number}", _ANNOTATOR, "a version")
    yield RouteRule("GET", "/review/cases/{case}/versions/{number}/file", _ANNOTATOR, "its file")
    yield RouteRule("GET", "/review/cases/{case}/agreement", _ANNOTATOR, "how its versions differ")
    yield RouteRule(
        "GET", "/review/cases/{case}/dose", _ANNOTATOR, "what a correction changes in Gy"
    )
    yield RouteRule("GET", "/review/cases/{case}/seed_plan", _ANNOTATOR, "the plan that counts")
    note = "gives it a seed plan; those before are kept"
    yield RouteRule("PUT", "/review/cases/{case}/seed_plan", _REVIEWER, note, takes_files=True)
    yield RouteRule("GET", "/review/cases/{case}/seed_plans", _ANNOTATOR, "all plans it was given")
    path = "/review/cases/{case}/seed_plans/{number}/file"
    yield RouteRule("GET", path, _ANNOTATOR, "a plan's table of seeds")
    note = "what somebody does with it: the state table decides"
    yield RouteRule("POST", "/review/cases/{case}/transitions", _ANNOTATOR, note)
    yield RouteRule(
        "PUT", "/review/cases/{case}/consensus", _REVIEWER, "for training by all, or not"
    )
    yield RouteRule("GET", "/review/agreement", _ANNOTATOR, "agreement at the hand-overs")
    yield RouteRule("GET", "/review/effort", _ANNOTATOR, "what the corrections cost")
    yield RouteRule("GET", "/review/consensus", _ANNOTATOR, "the readers' pairwise agreement")
    yield RouteRule("GET", "/review/scores/{method}", _ANNOTATOR, "what scoring found out so far")
    yield RouteRule("GET", "/review/outbox", _ANNOTATOR, "approved contours sent to the archive")
    yield RouteRule("GET", "/review/journal", _REVIEWER, "who did what, and when")


def _grading() -> Iterable[RouteRule]:
    study, item = "/review/grading/{study}", "/review/grading/{study}/items/{item}"
    yield RouteRule("GET", "/review/grading", _ANNOTATOR, "studies in which whoever asks grades")
    yield RouteRule("GET", study, _ANNOTATOR, "one of them; its graders only")
    yield RouteRule("GET", f"{study}/next", _ANNOTATOR, "what to grade next; its graders only")
    yield RouteRule("GET", item, _ANNOTATOR, "an item with one's own grades; its graders only")
    for what in ("pictures/{number}", "map", "image"):
        yield RouteRule("GET", f"{item}/{what}", _ANNOTATOR, "its files; its graders only")
    yield RouteRule("POST", f"{item}/grades", _ANNOTATOR, "grades it; its graders only")
    yield RouteRule("GET", f"{study}/progress", _REVIEWER, "how far all graders have come")
    note = "ends the grading; incomplete only by somebody who does not grade in it"
    yield RouteRule("POST", f"{study}/close", _REVIEWER, note)
    yield RouteRule("GET", f"{study}/results", _REVIEWER, "unmasked, of a closed study")
    yield RouteRule("GET", f"{study}/report", _REVIEWER, "the same as a page")


def _jobs() -> Iterable[RouteRule]:
    for kind, path, one in (
        ("training", "/train/", "/train/{model}"),
        ("scoring", "/scoring/", "/scoring/{method}"),
    ):
        yield RouteRule("GET", path, _ANNOTATOR, f"how {kind} is going")
        yield RouteRule("POST", path, _REVIEWER, f"starts all {kind}")
        yield RouteRule("POST", one, _REVIEWER, f"starts {kind}")
        yield RouteRule("DELETE", path, _REVIEWER, f"stops {kind}")
    yield RouteRule("GET", "/review/jobs", _ANNOTATOR, "all trainings")
    yield RouteRule("GET", "/review/jobs/{job}", _ANNOTATOR, "a training")
    yield RouteRule("POST", "/review/jobs/{job}/resume", _REVIEWER, "lets a training go on")
    yield RouteRule("DELETE", "/review/jobs/{job}", _REVIEWER, "stops a training")
    yield RouteRule("GET", "/batch/infer", _ANNOTATOR, "how drafting many cases is going")
    yield RouteRule("POST", "/batch/infer/{model}", _REVIEWER, "drafts many cases")
    yield RouteRule("DELETE", "/batch/infer", _REVIEWER, "stops that")
    yield RouteRule("GET", "/model/{model}", _ADMIN, "a model's weights")
    yield RouteRule("GET", "/model/info/{model}", _ADMIN, "about a model's weights")
    yield RouteRule("GET", "/logs/", _ADMIN, "the server's log")
    yield RouteRule("GET", "/logs/gpu", _ADMIN, "the graphics cards")


ROUTES: Final = tuple(_rules())

_PATTERNS: Final[dict[str, re.Pattern[str]]] = {
    rule.path: compile_path(rule.path)[0] for rule in ROUTES
}


@lru_cache(maxsize=1024)
def rule_for(method: str, path: str) -> RouteRule:
    """What a request asks for; where several rules fit, the strictest.

    Args:
        method: of the request.
        path: of it, decoded, without the server's root path.

    Raises:
        RequestRefusedError: there is no such route (404), or not with this method (405).
    """
    fitting = [rule for rule in ROUTES if _PATTERNS[rule.path].match(path)]
    if not fitting:
        # The router sends whoever forgets a last slash, or adds one, to the right address.
        other = path.rstrip("/") if path.endswith("/") else f"{path}/"
        fitting = [rule for rule in ROUTES if _PATTERNS[rule.path].match(other)]
    if not fitting:
        message = f"there is nothing at {path[:100]!r}; /docs lists what there is"
        raise RequestRefusedError(HTTPStatus.NOT_FOUND, message)
    of_method = [rule for rule in fitting if rule.method == method]
    if not of_method:
        allowed = ", ".join(sorted({rule.method for rule in fitting}))
        message = f"{path[:100]!r} takes {allowed}, not {method[:20]!r}"
        raise RequestRefusedError(
            HTTPStatus.METHOD_NOT_ALLOWED, message, headers={"Allow": allowed}
        )
    return max(of_method, key=lambda rule: -1 if rule.least is None else rule.least.rank)


_HEAD: Final = """# Who may do what

Made by `python -m parotid_brachy.lib.server.authorisation` from the table that the server asks for
each request; a test compares both, and the table with the routes that the server has.

Roles: annotator, reviewer, admin; each may do what the ones before it may. *Public* asks nobody.
What is not listed does not exist (404). With `auth off` only the machine itself is served; who is
asking is then the name that the client states, and routes for reviewers and admins are open to
nobody but the one whom `loopback_reviewer` names.

*No token*: the stock MONAILabelReviewer module, which cannot log in, may do this from the server's
own machine without a token, if and only if `--conf loopback_reviewer NAME` is set; it is then done
in that reviewer's name, or of the reviewer whom its record names.

| method | path | least role | no token | |
|---|---|---|---|---|
"""


def as_markdown() -> str:
    """The table as a Markdown document."""
    lines = [
        f"| {rule.method} | `{rule.path}` | {rule.least.value if rule.least else '*public*'} "
        f"| {'yes' if rule.is_stock_reviewers else ''} | {rule.note} |\n"
        for rule in ROUTES
    ]
    return _HEAD + "".join(lines)


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
