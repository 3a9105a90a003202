"""Retraining over the wire: ``/train/`` as MONAI Label's clients call it, and ``/review/jobs``."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Query, Request
from monailabel.interfaces.utils.app import app_instance

from parotid_brachy.lib.errors import NotFoundError
from parotid_brachy.lib.retraining.job import Task
from parotid_brachy.lib.retraining.job_folder import JobFolder
from parotid_brachy.lib.retraining.job_status import JobState
from parotid_brachy.lib.review.records import Page
from parotid_brachy.lib.server.authentication import identity_of
from parotid_brachy.lib.server.job_records import JobDetail, JobRow
from parotid_brachy.lib.server.review_records import PageOf
from parotid_brachy.lib.server.review_routes import Limit, Offset
from parotid_brachy.lib.server.wire import check_options
from parotid_brachy.lib.trainers.retraining import Retraining, log_tail, task_values

_LOG_LINES: Final = 200
_WHOLE: Final = (Task.TWO_STEP, Task.ONE_STEP)
"""What "all trainings" are; the others are parts of these."""


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter()
    train = APIRouter(prefix="/train", tags=["Train"])
    train.add_api_route("/", stock_status, methods=["GET"], response_model=None)
    train.add_api_route("/", start_all, methods=["POST"], response_model=None)
    train.add_api_route("/", stop_running, methods=["DELETE"], response_model=None)
    train.add_api_route("/{model}", start, methods=["POST"], response_model=None)
    jobs = APIRouter(prefix="/review", tags=["Train"])
    jobs.add_api_route("/jobs", list_jobs, methods=["GET"])
    jobs.add_api_route("/jobs/{job}", show, methods=["GET"])
    jobs.add_api_route("/jobs/{job}/resume", resume, methods=["POST"])
    jobs.add_api_route("/jobs/{job}", stop, methods=["DELETE"])
    routes.include_router(train)
    routes.include_router(jobs)
    return routes


def start(
    http: Request,
    model: str,
    params: Annotated[dict[str, Any] | None, Body()] = None,
    run_sync: Annotated[bool, Query()] = False,
    enqueue: Annotated[bool, Query()] = False,
) -> dict[str, Any]:
    """Starts a training; with ``run_sync`` it answers when that has ended."""
    retraining, task = _retraining(), _task(model)
    options = params or {}
    check_options(options)
    if run_sync:
        return dict(app_instance().train({**options, "model": model}))
    reader = identity_of(http).reader
    return task_values(retraining.start(task, options, reader, enqueue=enqueue))


def start_all(
    http: Request, params: Annotated[dict[str, Any] | None, Body()] = None
) -> dict[str, Any]:
    """Enqueues the two steps and the one step; options by model."""
    retraining, reader = _retraining(), identity_of(http).reader
    check_options(params or {})
    found = {}
    for task in _WHOLE:
        own = (params or {}).get(task.value) or {}
        folder = retraining.start(task, own, reader, enqueue=True)
        found[task.value] = {"result": task_values(folder), "detail": None}
    return found


def stock_status(
    all: Annotated[bool, Query()] = False,  # noqa: A002 (the wire's word)
    check_if_running: Annotated[bool, Query()] = False,
) -> Any:
    """The newest training, or the running one, or all, as background tasks."""
    jobs = _retraining().queue.jobs()
    if check_if_running:
        jobs = [job for job in jobs if job.status.state.is_open]
    if not jobs:
        message = "no training is running" if check_if_running else "nothing was trained yet"
        raise NotFoundError(message)
    if all and not check_if_running:
        return [task_values(job) for job in jobs]
    return task_values(_newest(jobs))


def stop_running(http: Request) -> Any:
    """Stops the training at work; it can be continued."""
    queue = _retraining().queue
    running = [job for job in queue.open_jobs() if job.status.state is JobState.RUNNING]
    for job in running or queue.open_jobs()[:1]:
        queue.stop(job.id, identity_of(http).reader.name)
        return task_values(job)
    return None


def list_jobs(offset: Offset = 0, limit: Limit = 100) -> PageOf[JobRow]:
    """All trainings, the newest first: state, progress, losses, DSC, results."""
    jobs = _retraining().queue.jobs()[::-1]
    page = Page(jobs[offset : offset + limit], len(jobs), offset)
    return PageOf[JobRow].of(page, JobRow.of)


def show(job: str) -> JobDetail:
    """One training, with what was chosen and the end of its log."""
    folder = _retraining().queue.job(job)
    told = folder.job.to_json()
    return JobDetail(
        **JobRow.of(folder).model_dump(),
        choice=told["choice"],
        policy=told["policy"],
        log=log_tail(folder, _LOG_LINES),
    )


def resume(job: str) -> JobRow:
    """Puts a training that was stopped or has failed back into the queue."""
    queue = _retraining().queue
    queue.resume(job)
    queue.look_after()
    return JobRow.of(queue.job(job))


def stop(http: Request, job: str) -> JobRow:
    """Stops a training; it can be continued."""
    queue = _retraining().queue
    queue.stop(job, identity_of(http).reader.name)
    return JobRow.of(queue.job(job))


def _newest(jobs: list[JobFolder]) -> JobFolder:
    """The running one, if there is one."""
    return max(jobs, key=lambda job: (job.status.state is JobState.RUNNING, job.id))


def _task(name: str) -> Task:
    try:
        return Task(name)
    except ValueError as error:
        known = ", ".join(task.value for task in Task)
        message = f"no {name[:60]!r} among the trainers; there are: {known}"
        raise NotFoundError(message) from error


def _retraining() -> Retraining:
    found = getattr(app_instance(), "retraining", None)
    if not isinstance(found, Retraining):
        message = "nothing is trained here: the studies are an archive, or training is switched off"
        raise NotFoundError(message)
    return found
