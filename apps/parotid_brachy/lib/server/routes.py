"""The framework's routes, taken off the event loop and given checks; inference has its own.

MONAI Label's endpoints are ``async def`` round blocking code, so that one inference or upload
holds up every other client. Here each runs in a worker thread; its signature, and with it the
API, stays.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from monailabel.config import settings
from monailabel.endpoints import (
    activelearning,
    batch_infer,
    datastore,
    info,
    logs,
    model,
    scoring,
    session,
    train,
    wsi_infer,
)
from monailabel.interfaces.utils.app import app_instance

from parotid_brachy.lib.errors import NotFoundError
from parotid_brachy.lib.server import inference
from parotid_brachy.lib.server.wire import checked_id, checked_tag, json_object

# The proxy and OHIF's pages are left as they are: they really await.
_BLOCKING: Final = (
    info,
    model,
    wsi_infer,
    batch_infer,
    train,
    activelearning,
    scoring,
    datastore,
    logs,
    session,
)
# Which of the app's tasks an argument of a module's routes names; /info/ lists them so.
_NAMED_TASKS: Final = {
    activelearning: ("strategy", "strategies"),
    batch_infer: ("model", "models"),
    scoring: ("method", "scoring"),
    train: ("model", "trainers"),
}
_IDS: Final = ("image", "label", "id")
_JSON: Final = ("params", "info")


def install(app: FastAPI) -> None:
    """Puts our routes before the framework's, which stay in the API's documentation."""
    app.state.device_queue = inference.device_queue()
    router = APIRouter()
    for module in _BLOCKING:
        for route in module.router.routes:
            if isinstance(route, APIRoute):
                router.add_api_route(
                    f"{settings.MONAI_LABEL_API_STR}{route.path}",
                    off_the_event_loop(route.endpoint, _NAMED_TASKS.get(module)),
                    methods=sorted(route.methods or ()),
                    include_in_schema=False,
                )
    router.add_api_route(
        f"{settings.MONAI_LABEL_API_STR}/infer/{{model}}",
        inference.infer,
        methods=["POST"],
        include_in_schema=False,
    )
    app.include_router(router)
    app.router.routes.insert(0, app.router.routes.pop())


def off_the_event_loop(
    endpoint: Callable[..., Any], named_task: tuple[str, str] | None = None
) -> Callable[..., Any]:
    """An endpoint that FastAPI runs in a worker thread, with its text arguments checked.

    Args:
        endpoint: a function, or a coroutine function that awaits nothing.
        named_task: the argument that names a task, and the kind of task as /info/ calls it.
    """

    def in_worker_thread(**arguments: Any) -> Any:
        check_arguments(arguments)
        if named_task is not None:
            argument, kind = named_task
            check_task(arguments.get(argument), kind)
        result = endpoint(**arguments)
        return _finished(result) if inspect.iscoroutine(result) else result

    # Not functools.wraps: FastAPI would find the coroutine function behind it.
    in_worker_thread.__name__ = endpoint.__name__
    in_worker_thread.__doc__ = endpoint.__doc__
    in_worker_thread.__signature__ = inspect.signature(endpoint)  # type: ignore[attr-defined]
    return in_worker_thread


def check_arguments(arguments: dict[str, Any]) -> None:
    """Refuses ids that are paths, tags that are no names, and text that should be JSON.

    Raises:
        UsageError: naming the argument and its value.
    """
    for name, value in arguments.items():
        if not isinstance(value, str) or not value:
            continue
        if name in _IDS:
            checked_id(value, what=name)
        elif name == "tag":
            checked_tag(value)
        elif name in _JSON:
            json_object(value, what=name)


def check_task(name: object, kind: str) -> None:
    """Refuses the name of a task that the app does not have, before any work is begun for it.

    Raises:
        NotFoundError: naming those there are.
    """
    known = app_instance().info()[kind]
    if isinstance(name, str) and name not in known:
        message = f"no {name[:60]!r} among the {kind}; there are: {', '.join(known) or 'none'}"
        raise NotFoundError(message)


def _finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    message = f"{coroutine!r} awaits something: it belongs on the event loop"
    raise RuntimeError(message)
