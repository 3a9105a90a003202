import subprocess
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from parotid_brachy.lib.server.configuration import ServerSettings
from parotid_brachy.lib.server.install import install

ROOT = Path(__file__).parents[2]


@pytest.fixture
def app(tmp_path):
    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)
    install(app, ServerSettings.of({}, studies=str(tmp_path)))
    return app


def test_the_frameworks_open_door_to_all_web_sites_is_closed(app):
    assert CORSMiddleware not in [middleware.cls for middleware in app.user_middleware]
    assert [middleware.cls.__name__ for middleware in app.user_middleware] == [
        "Answers", "Limits", "Origin", "Gate", "MislabelledForms",
    ]  # fmt: skip


def test_a_second_time_changes_nothing(app, tmp_path):
    middleware, routes = list(app.user_middleware), list(app.router.routes)
    install(app, ServerSettings.of({}, studies=str(tmp_path)))
    assert (app.user_middleware, app.router.routes) == (middleware, routes)


def test_a_folder_of_studies_is_not_written_to_before_somebody_logs_in(app, tmp_path):
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], ["--conf auth local", "readers add"]),
        (["--host=192.0.2.1", "--conf", "auth", "off"], ["--conf auth local", "readers add"]),
        (["-i", "::", "-c", "model_dir", "auth"], ["--conf auth local", "readers add"]),
        (["--conf", "auth"], ["key and a value"]),
    ],
)
def test_the_start_script_does_not_serve_others_without_login(arguments, said):
    script = ROOT / "scripts" / "serve"
    done = subprocess.run(
        ["bash", script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable},
    )
    assert done.returncode == 1
    for words in said:
        assert words in done.stderr
