"""A small application with the routes of blind grading, its page and the login, over a study."""

from __future__ import annotations

import contextlib
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.server.guarded import PASSWORD

from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.evaluation.grading.ledger import Ledger
from parotid_brachy.lib.evaluation.grading.study import Study, read_study
from parotid_brachy.lib.review.readers import ReadersFile
from parotid_brachy.lib.review.roles import Role
from parotid_brachy.lib.server import (
    grading_routes,
    label_routes,
    login,
    login_page,
    pages,
    refusals,
    review_routes,
)
from parotid_brachy.lib.server.authentication import Authenticator
from parotid_brachy.lib.server.configuration import ServerSettings
from parotid_brachy.lib.server.install import protect

NAME = "first round"
BERG, AHO = "Dr Berg", "Dr Aho"
ANNA, SOFIA = "anna", "sofia"
READERS = {
    BERG: Role.REVIEWER,
    AHO: Role.ANNOTATOR,
    ANNA: Role.ANNOTATOR,
    SOFIA: Role.REVIEWER,
}
"""Berg and Aho grade; Anna is another annotator, Sofia a reviewer who keeps the study."""
ROOT = "/review/grading"
HERE = {"base_url": "http://127.0.0.1:8000", "client": ("127.0.0.1", 50000)}


class _App:
    """Stands in for MONAI Label's app, which is asked for the datastore only."""

    def __init__(self, studies):
        self._studies = studies

    def datastore(self):
        return self._studies


@dataclass(frozen=True)
class GradingDesk:
    """The application, and the study that it offers."""

    app: FastAPI
    authenticator: Authenticator
    study: Study

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.study)

    def client(self, name=None, **headers) -> TestClient:
        """A client of that reader's; None: of somebody who has not logged in."""
        if name is not None:
            record = self.authenticator.readers.find(name)
            headers["Authorization"] = f"Bearer {self.authenticator.tokens.issue(record)}"
        return TestClient(
            self.app, **HERE, headers=headers, raise_server_exceptions=False,
            follow_redirects=False,
        )  # fmt: skip


@contextlib.contextmanager
def grading_desk(folder: Path, made: Path, monkeypatch, **conf):
    """The application over a copy of a study, with these settings."""
    studies_folder = folder / "studies"
    own = studies_folder / ".parotid" / "grading" / NAME
    shutil.copytree(made, own)
    studies = Studies(studies_folder)
    monkeypatch.setattr(label_routes, "app_instance", lambda: _App(studies))
    settings = ServerSettings.of(conf, studies=str(studies_folder))
    readers = ReadersFile(settings.readers_file)
    for name, role in READERS.items():
        readers.add(name, role, PASSWORD)
    authenticator = Authenticator(settings)
    app = FastAPI()
    for routes in (login, login_page, review_routes, grading_routes, pages):
        app.include_router(routes.router())
    refusals.install(app)
    protect(app, authenticator)
    try:
        yield GradingDesk(app, authenticator, read_study(own))
    finally:
        studies.store.close()


class _Server(uvicorn.Server):
    def __init__(self, config):
        super().__init__(config)
        self.is_ready = threading.Event()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self.is_ready.set()


@contextlib.contextmanager
def listening(app):
    """The application on a port of this machine; yields its address."""
    server = _Server(uvicorn.Config(app, "127.0.0.1", 0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert server.is_ready.wait(30)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
