"""A small application with every route of the table, behind the server's protections."""

from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from parotid_brachy.lib.review.readers import ReadersFile
from parotid_brachy.lib.review.roles import Role
from parotid_brachy.lib.server import login, login_page, refusals
from parotid_brachy.lib.server.authentication import Authenticator
from parotid_brachy.lib.server.authorisation import ROUTES
from parotid_brachy.lib.server.configuration import ServerSettings
from parotid_brachy.lib.server.install import protect

PASSWORD = "correct horse battery"
NAMES = {Role.ANNOTATOR: "ana", Role.REVIEWER: "rob", Role.ADMIN: "ada"}
HERE = {"base_url": "http://127.0.0.1:8000", "client": ("127.0.0.1", 50000)}
ELSEWHERE = {"base_url": "http://server.example:8000", "client": ("192.0.2.7", 50000)}
_FILLED = {
    "model": "two_step",
    "strategy": "random",
    "method": "dice",
    "session_id": "0" * 8 + "-0000" * 3 + "-" + "0" * 12,
    "case": "case_a",
    "number": "1",
    "study": "gradings",
    "item": "0" * 32,
    "job": "20261124-030000-123456",
    "path": "studies",
}


def filled(path):
    """A path of the table with something for each parameter."""
    for name, value in _FILLED.items():
        path = path.replace(f"{{{name}}}", value).replace(f"{{{name}:path}}", value)
    assert "{" not in path
    return path


@dataclass
class Guarded:
    """The application, and the readers who may use it."""

    app: FastAPI
    authenticator: Authenticator
    readers: ReadersFile

    def client(self, place=HERE, **headers):
        """A client on this machine, or elsewhere."""
        return TestClient(
            self.app, **place, headers=headers, raise_server_exceptions=False,
            follow_redirects=False,
        )  # fmt: skip

    def token(self, role):
        """A token of the reader with that role."""
        return self.authenticator.tokens.issue(self.readers.find(NAMES[role]))


def guarded(folder: Path, **conf):
    """The application with these settings, and a reader of each role.

    Each route of the table answers which it is, and who was let in.
    """
    settings = ServerSettings.of(conf, studies=str(folder))
    readers = ReadersFile(settings.readers_file)
    for role, name in NAMES.items():
        if readers.find(name) is None:
            readers.add(name, role, PASSWORD)
    authenticator = Authenticator(settings)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(login.router())
    app.include_router(login_page.router())
    for rule in ROUTES:
        if not rule.path.startswith("/auth/"):
            app.add_route(rule.path, _stand_in(rule.path), methods=[rule.method])
    refusals.install(app)
    protect(app, authenticator)
    return Guarded(app, authenticator, readers)


def _stand_in(path):
    async def answer(request: Request):
        identity = request.scope["state"]["identity"]
        who = identity and [identity.reader.name, identity.reader.role.value, identity.is_proved]
        return JSONResponse({"reached": path, "who": who})

    return answer
