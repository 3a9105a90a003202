"""All routes of the server: ours, and the framework's with checks and off the event loop.

MONAI Label's endpoints are ``async def`` round blocking code, so that one inference or upload
holds up every other client. Here each runs in a worker thread; its signature, and with it the
API, stays. Which of them are offered stands in the table of :mod:`authorisation`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from monailabel.endpoints import batch_infer, datastore, info, model, scoring

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.server import (
    agreement_routes,
    dose_routes,
    grading_routes,
    image_routes,
    inference,
    label_routes,
    login,
    login_page,
    outbox_routes,
    pages,
    proxy,
    review_routes,
    score_routes,
    sessions,
    train_routes,
)
from parotid_brachy.lib.server.authorisation import ROUTES
from parotid_brachy.lib.server.named_tasks import check_task
from parotid_brachy.lib.server.task_log import without_servers_log
from parotid_brachy.lib.server.wire import (
    check_options,
    check_task_options,
    checked_id,
    checked_tag,
    json_object,
)

# Modules of the framework whose routes are taken over, where none of ours has their address.
_TAKEN_OVER: Final = (info, model, batch_infer, scoring, datastore)
# Which of the app's tasks an argument of a module's routes names; /info/ lists them so.
_NAMED_TASKS: Final = {
    batch_infer: ("model", "models"),
    scoring: ("method", "scoring"),
}
_IDS: Final = ("image", "label", "id")
_JSON: Final = ("params", "info")
# What the framework's application itself has, and we keep.
_KEPT: Final = frozenset({"/", "/favicon.ico", "/openapi.json", "/docs", "/static"})


def install(app: FastAPI) -> None:
    """Puts the routes that are offered in the place of the framework's."""
    app.state.device_queue = inference.device_queue()
    routes = app.router.routes
    routes[:] = [route for route in routes if getattr(route, "path", None) in _KEPT]
    ours = _our_routers()
    for router in (*ours, _taken_over(ours)):
        app.include_router(router)


def _our_routers() -> tuple[APIRouter, ...]:
    work = APIRouter()
    work.add_api_route(
        "/infer/{model}", inference.infer, methods=["POST"], tags=["Infer"], response_model=None
    )
    return (
        login.router(),
        login_page.router(),
        work,
        label_routes.router(),
        image_routes.router(),
        review_routes.router(),
        agreement_routes.router(),
        grading_routes.router(),
        score_routes.router(),
        dose_routes.router(),
        outbox_routes.router(),
        train_routes.router(),
        sessions.router(),
        pages.router(),
        proxy.router(),
    )


def _taken_over(ours: tuple[APIRouter, ...]) -> APIRouter:
    """The framework's routes that the table offers and that none of ours replaces."""
    replaced = {
        (method, route.path)
        for router in ours
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    offered = {(rule.method, rule.path) for rule in ROUTES} - replaced
    router = APIRouter()
    for module in _TAKEN_OVER:
        for route in module.router.routes:
            if not isinstance(route, APIRoute):
                continue
            methods = {method for method in route.methods or () if (method, route.path) in offered}
            if methods:
                router.add_api_route(
                    route.path,
                    off_the_event_loop(route.endpoint, _NAMED_TASKS.get(module)),
                    methods=sorted(methods),
                    summary=route.summary,
                    tags=module.router.tags,
                    deprecated=route.deprecated,
                    include_in_schema=route.include_in_schema,
                )
    return router


def off_the_event_loop(
    endpoint: Callable[..., Any], named_task: tuple[str, str] | None = None
) -> Callable[..., Any]:
    """An endpoint that FastAPI runs in a worker thread, with its text arguments checked.

    Args:
        endpoint: a function, or a coroutine function that awaits nothing.
        named_task: the argument that names a task, and the kind of task as /info/ calls it; what
            its process logs is for admins.
    """

    def in_worker_thread(**arguments: Any) -> Any:
        check_arguments(arguments)
        if named_task is not None:
            argument, kind = named_task
            _require_the_same(argument, arguments)
            check_task(arguments.get(argument), kind)
        result = endpoint(**arguments)
        result = _finished(result) if inspect.iscoroutine(result) else result
        return result if named_task is None else without_servers_log(result)

    # Not functools.wraps: FastAPI would find the coroutine function behind it.
    in_worker_thread.__name__ = endpoint.__name__
    in_worker_thread.__doc__ = endpoint.__doc__
    in_worker_thread.__signature__ = inspect.signature(endpoint)  # type: ignore[attr-defined]
    return in_worker_thread


def check_arguments(arguments: dict[str, Any]) -> None:
    """Refuses ids that are paths, tags that are none, files of the server's, and broken JSON.

    Raises:
        UsageError: naming the argument and its value.
    """
    for name, value in arguments.items():
        if name in _JSON and isinstance(value, dict):
            check = check_task_options if name == "params" else check_options
            check(value)
        if not isinstance(value, str) or not value:
            continue
        if name in _IDS:
            checked_id(value, what=name)
        elif name == "tag":
            checked_tag(value)
        elif name in _JSON:
            json_object(value, what=name)


def _require_the_same(argument: str, arguments: dict[str, Any]) -> None:
    """Refuses options that name another task than the address: the framework would take theirs.

    Raises:
        UsageError: naming both.
    """
    options, named = arguments.get("params"), arguments.get(argument)
    if not isinstance(options, dict) or not isinstance(named, str):
        return
    if options.get(argument, named) != named:
        other = str(options[argument])[:60]
        message = f"option {argument}: {other!r} is not {named!r}, which the address names"
        raise UsageError(message)


def _finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    message = f"{coroutine!r} awaits something: it belongs on the event loop"
    raise RuntimeError(message)
