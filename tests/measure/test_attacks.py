"""The attacks' verdicts: a server that gives in is seen to."""

import http.server
import threading

import pytest
from scripts.measure.attack_run import CASES, Report, Surroundings
from scripts.measure.attack_wire import Attack, Upload, Verdict, multipart, send

from parotid_brachy.lib.review.store import VersionStore

ANSWERS = {
    "/refused": (404, b'{"detail": "no such case"}'),
    "/empty-reason": (404, b'{"detail": ""}'),
    "/speechless": (400, b"Invalid HTTP request received."),
    "/accepted": (200, b"{}"),
    "/elsewhere": (307, b""),
    "/fault": (500, b'{"detail": "Internal Server Error"}'),
}

SEEN = []


class Weak(http.server.BaseHTTPRequestHandler):
    """Answers as its address says, and keeps the request's first line."""

    def do_GET(self):
        SEEN.append((self.raw_requestline, self.headers["Host"], self.headers["X"]))
        if self.path not in ANSWERS:
            self.connection.close()
            return
        status, content = ANSWERS[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def port():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Weak)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("target", "may_be_parsers", "verdict"),
    [
        (b"/refused", False, Verdict.REFUSED),
        (b"/empty-reason", False, Verdict.SPEECHLESS),
        (b"/speechless", False, Verdict.SPEECHLESS),
        (b"/speechless", True, Verdict.PARSER),
        (b"/accepted", True, Verdict.ACCEPTED),
        (b"/elsewhere", False, Verdict.ACCEPTED),
        (b"/fault", True, Verdict.FAULT),
        (b"/hangs-up", False, Verdict.SILENT),
    ],
)
def test_an_answer_is_judged(port, target, may_be_parsers, verdict):
    attack = Attack("group", "name", "GET", target, may_be_parsers=may_be_parsers)
    outcome = send(attack, port)
    assert outcome.verdict is verdict
    assert outcome.is_as_it_should == (verdict in {Verdict.REFUSED, Verdict.PARSER})


def test_a_request_goes_over_the_wire_as_it_is(port):
    send(Attack("group", "name", "GET", b"/a/../b?c=%2e\xff", ((b"Host", b"x"),)), port)
    assert SEEN[-1][:2] == (b"GET /a/../b?c=%2e\xff HTTP/1.1\r\n", "x")
    send(Attack("group", "name", "GET", b"/refused"), port, [(b"X", b"token")])
    assert SEEN[-1][1:] == (f"127.0.0.1:{port}", "token")


def test_a_form_keeps_hostile_file_names():
    _, body = multipart({"params": "{}"}, Upload("label", "../../x.nii", b"content"))
    assert b'filename="../../x.nii"' in body
    assert b"content\r\n" in body


def test_what_an_attack_has_changed_is_seen(tmp_path):
    surroundings = Surroundings(tmp_path)
    surroundings.build()
    store = VersionStore.open(surroundings.studies / ".parotid")
    before = surroundings.state()
    assert surroundings.state() == before
    (tmp_path / "planted.py").write_text("x")
    (surroundings.studies / ".parotid" / "quarantine").mkdir()
    (surroundings.studies / ".parotid" / "quarantine" / "refused").write_text("x")
    store.register({case: f"{case}.nii.gz" for case in CASES})
    after = surroundings.state()
    store.close()
    assert sorted(name for name in after if before.get(name) != after[name]) == [
        "planted.py",
        "table cases",
        "table journal",
        "table journal_head",
    ]


def test_every_fault_is_told(port):
    fine = send(Attack("g", "fine", "GET", b"/refused"), port)
    weak = send(Attack("g", "weak", "GET", b"/accepted"), port)
    assert Report([fine], [], True).faults == []
    assert len(Report([fine, weak], ["planted.py"], False).faults) == 3
