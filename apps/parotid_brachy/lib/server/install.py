"""Puts our routes, protections and error answers on MONAI Label's application.

``--uvicorn_app parotid_brachy.lib.server.asgi:app`` does it while the server is imported; a plain
``start_server --app apps/parotid_brachy`` does it when the framework builds our app, which is after
its ASGI application has begun. Both give the same server.
"""

from __future__ import annotations

import sys

from fastapi import FastAPI
from monailabel.endpoints.user.auth import get_current_user
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from parotid_brachy.lib.server import login, refusals, routes
from parotid_brachy.lib.server.answers import Answers
from parotid_brachy.lib.server.authentication import Authenticator
from parotid_brachy.lib.server.configuration import ServerSettings
from parotid_brachy.lib.server.gate import Gate
from parotid_brachy.lib.server.limits import Limits
from parotid_brachy.lib.server.mislabelled_forms import MislabelledForms
from parotid_brachy.lib.server.origin import Origin

FRAMEWORK_MODULE = "monailabel.app"


def install(app: FastAPI, settings: ServerSettings | None = None) -> None:
    """Installs everything of ours on ``app``; a second time changes nothing.

    Args:
        app: the framework's application.
        settings: of the server; else what the framework was started with.

    Raises:
        UsageError: a setting is nonsense.
        InputRefusedError: the readers file is damaged.
        StoreError: the tokens' key is damaged.
    """
    if getattr(app.state, "has_parotid_brachy", False):
        return
    settings = settings or ServerSettings.of_framework()
    authenticator = Authenticator(settings)
    app.state.has_parotid_brachy = True
    protect(app, authenticator)
    refusals.install(app)
    routes.install(app)
    login.describe(app)


def protect(app: FastAPI, authenticator: Authenticator) -> None:
    """Puts the protections in front of an application, in the place of the framework's.

    Args:
        app: with or without our routes.
        authenticator: finds out who is asking.
    """
    settings = authenticator.settings
    app.state.authenticator = authenticator
    app.state.login_desk = login.LoginDesk(authenticator)
    # The framework's endpoints ask for a user; whether he or she may was the gate's to say.
    app.dependency_overrides[get_current_user] = login.user_of
    app.user_middleware[:] = [
        Middleware(Answers),
        Middleware(Limits, max_upload_bytes=settings.max_upload_bytes),
        Middleware(Origin, settings=settings),
        *_cross_origin(settings),
        Middleware(Gate, authenticator=authenticator),
        Middleware(MislabelledForms),
    ]
    # Built anew at the next request: when the framework builds our app, its own is running.
    app.middleware_stack = None


def _cross_origin(settings: ServerSettings) -> list[Middleware]:
    """Lets pages of the configured web sites read answers; without any, browsers let nobody."""
    if not settings.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
            allow_headers=["Accept", "Authorization", "Content-Type"],
            expose_headers=["Content-Disposition"],
        )
    ]


def install_on_running_server() -> None:
    """Installs on the framework's application, if this process serves it.

    Its training and batch subprocesses build our app too, without a server.
    """
    framework = sys.modules.get(FRAMEWORK_MODULE)
    if framework is not None:
        install(framework.app)
