"""Blind grading under ``/review/grading``: to each grader his or her own items and grades.

Nothing here opens a study's key before the study is closed. Whoever grades is the reader who has
logged in; the name that a client shows comes with every request, so that what one reader sees or
sends is never another's who has logged in meanwhile in the same browser.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from parotid_brachy.lib.errors import ConflictError, NotAllowedError, StoreError
from parotid_brachy.lib.evaluation.grading.ledger import Ledger
from parotid_brachy.lib.evaluation.grading.offered import OfferedStudies
from parotid_brachy.lib.evaluation.grading.progress import progress_of
from parotid_brachy.lib.evaluation.grading.results import unmask
from parotid_brachy.lib.evaluation.grading.study import Study, read_key
from parotid_brachy.lib.report.grading_page import grading_page
from parotid_brachy.lib.server.authentication import identity_of, stated_reader
from parotid_brachy.lib.server.grading_records import (
    Close,
    ClosingRow,
    GivenGrades,
    ItemDetail,
    NextItem,
    ProgressRow,
    StudyDetail,
    StudyProgress,
    StudyRow,
)
from parotid_brachy.lib.server.grading_results_records import ResultsDetail
from parotid_brachy.lib.server.label_routes import studies

Grader = Annotated[
    str | None,
    Query(
        max_length=64,
        description="whom the client takes for asking; without login the name that counts, with "
        "one it must be whoever has logged in",
    ),
]
_REPORT_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def router() -> APIRouter:
    """The routes below ``/review/grading``."""
    routes = APIRouter(prefix="/review/grading", tags=["Blind grading"])
    routes.add_api_route("", all_studies, methods=["GET"])
    routes.add_api_route("/{study}", state, methods=["GET"])
    routes.add_api_route("/{study}/next", next_item, methods=["GET"])
    routes.add_api_route("/{study}/items/{item}", item_detail, methods=["GET"])
    for what, endpoint in (
        ("pictures/{number}", picture),
        ("map", masked_map),
        ("image", image_part),
    ):
        path = f"/{{study}}/items/{{item}}/{what}"
        routes.add_api_route(path, endpoint, methods=["GET"], response_class=Response)
    routes.add_api_route("/{study}/items/{item}/grades", give, methods=["POST"])
    routes.add_api_route("/{study}/progress", progress, methods=["GET"])
    routes.add_api_route("/{study}/close", close, methods=["POST"])
    routes.add_api_route("/{study}/results", results, methods=["GET"])
    routes.add_api_route("/{study}/report", report, methods=["GET"], response_class=HTMLResponse)
    return routes


def all_studies(http: Request, grader: Grader = None) -> list[StudyRow]:
    """The studies in which the asking reader grades."""
    name = _grader(http, grader)
    return [
        StudyRow(
            study=study_name,
            progress=ProgressRow.of(progress_of(study, name)),
            closing=ClosingRow.of(Ledger(study).closing()),
        )
        for study_name, study in _offered().all_graded_by(name)
    ]


def state(http: Request, study: str, grader: Grader = None) -> StudyDetail:
    """A study: structures, scale, items in the asking reader's order, how far he or she is."""
    found, name = _own(http, study, grader)
    return StudyDetail.of_study(study, found, progress_of(found, name), Ledger(found).closing())


def next_item(http: Request, study: str, grader: Grader = None) -> NextItem:
    """The item to grade next; refused once the study is closed."""
    found, name = _own(http, study, grader)
    closing = Ledger(found).closing()
    if closing is not None:
        message = f"{study}: it was closed by {closing.by} at {closing.at}; nothing is graded now"
        raise ConflictError(message)
    wanted = progress_of(found, name).next_item
    return NextItem(item=None if wanted is None else _detail(found, wanted, name))


def item_detail(http: Request, study: str, item: str, grader: Grader = None) -> ItemDetail:
    """An item, with what the asking reader has said of it so far."""
    found, name = _own(http, study, grader)
    return _detail(found, item, name)


def picture(http: Request, study: str, item: str, number: int, grader: Grader = None) -> Response:
    """A picture of an item: a PNG file."""
    found, _ = _own(http, study, grader)
    return _file(found.picture_of(found.item(item), number), "image/png")


def masked_map(http: Request, study: str, item: str, grader: Grader = None) -> Response:
    """An item's label map, masked: a NIfTI file (.nii)."""
    found, _ = _own(http, study, grader)
    return _file(found.map_of(found.item(item)), "application/octet-stream")


def image_part(http: Request, study: str, item: str, grader: Grader = None) -> Response:
    """The part of the CT that an item's map lies on: a NIfTI file (.nii.gz)."""
    found, _ = _own(http, study, grader)
    return _file(found.image_of(found.item(item)), "application/octet-stream")


def give(http: Request, study: str, item: str, given: GivenGrades) -> ItemDetail:
    """Grades of some or all structures of an item; all are kept, with the time, or none."""
    found, name = _own(http, study, given.grader)
    Ledger(found).add(name, given.of_item(found.item(item).id))
    return _detail(found, item, name)


def progress(study: str) -> StudyProgress:
    """How far all graders have come."""
    found = _offered().find(study)
    return StudyProgress(
        graders=[ProgressRow.of(progress_of(found, name)) for name in found.graders],
        closing=ClosingRow.of(Ledger(found).closing()),
    )


def close(http: Request, study: str, wish: Close) -> ClosingRow:
    """Ends the grading for good; then the results can be had.

    Who grades may close a study that has all grades, and cut nobody's grading short.
    """
    found = _offered().find(study)
    name = identity_of(http).reader.name
    if wish.incomplete and name in found.graders:
        message = (
            f"{study}: {name} grades in it, and may close it once all grades are given; to close "
            "it incomplete, ask a reviewer who does not, or use the command line"
        )
        raise NotAllowedError(message)
    read_key(found)  # a study that cannot be unmasked is better left open
    return ClosingRow.model_validate(Ledger(found).close(name, incomplete=wish.incomplete))


def results(study: str) -> ResultsDetail:
    """A closed study, unmasked: means, share at 2 or more, weighted kappa, every grade."""
    return ResultsDetail.of(unmask(_offered().find(study)))


def report(study: str) -> HTMLResponse:
    """The same as a page that needs nothing from outside."""
    found = unmask(_offered().find(study))
    page = grading_page(found, found.agreements())
    return HTMLResponse(page, headers={"Content-Security-Policy": _REPORT_POLICY})


def _offered() -> OfferedStudies:
    return OfferedStudies(studies().store.folder)


def _own(http: Request, study: str, stated: str | None) -> tuple[Study, str]:
    """A study and its grader who is asking."""
    name = _grader(http, stated)
    return _offered().graded_by(study, name), name


def _grader(http: Request, stated: str | None) -> str:
    """The name under which the asking reader grades.

    Raises:
        ConflictError: the client takes somebody else for asking.
    """
    name = stated_reader(identity_of(http), stated).name
    if stated is not None and stated != name:
        message = f"it is {name} who is asking now, not {stated}; open the page again"
        raise ConflictError(message)
    return name


def _detail(study: Study, item: str, grader: str) -> ItemDetail:
    return ItemDetail.of(study, study.item(item), grader, Ledger(study).current(grader))


def _file(path: Path, media_type: str) -> Response:
    """A file's bytes; not its date, which would be told with the file itself."""
    try:
        return Response(path.read_bytes(), media_type=media_type)
    except OSError as error:
        message = f"{path.parent.name}/{path.name}: missing or not readable. Restore it"
        raise StoreError(message) from error
