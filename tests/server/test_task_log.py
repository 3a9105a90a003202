from collections import deque

from parotid_brachy.lib.server.task_log import without_servers_log

HEAD = "[2026-12-01 05:22:53,125] [22865] [MainThread] [INFO] "
SECRET = HEAD + "(__main__:37) - Initializing App from: /srv/app; conf: {'database': 'p://u:pw@h'}"
PATHS = HEAD + "(monailabel.utils.sessions:51) - Session Path: /root/.cache"
OURS = HEAD + "(parotid_brachy.lib.scoring.methods:105) - expected_edit: 1 of 2 cases"
RESULT = HEAD + '(__main__:61) - Result: {"scored": 2}'
TRACEBACK = '  File "/srv/app/main.py", line 3, in parotid_brachy.lib (parotid_brachy.lib:3) - x'


def status(**more):
    lines = deque([SECRET, PATHS, OURS, TRACEBACK, "password=pw", RESULT], maxlen=20)
    return {"id": "1", "status": "DONE", "request": {"gpus": "all"}, "details": lines, **more}


def test_a_status_tells_progress_and_result_and_nothing_of_the_servers_insides():
    told = without_servers_log(status())
    assert told["details"] == [OURS, RESULT]
    assert told["request"] == {"gpus": "all"}


def test_all_tasks_and_those_that_begin_are_told_alike():
    told = without_servers_log([status(), {"id": "2", "status": "SUBMITTED"}])
    assert [one.get("details") for one in told] == [[OURS, RESULT], None]
    begun = {"agreement": {"result": status(), "detail": None}}
    assert without_servers_log(begun)["agreement"]["result"]["details"] == [OURS, RESULT]


def test_why_a_task_ended_is_told_without_the_way_that_led_there():
    why = "parotid_brachy.lib.errors.NotFoundError: gland: no version serves"
    lines = ["Traceback (most recent call last):", TRACEBACK, why, "sqlalchemy.exc.Error: u:pw@h"]
    assert without_servers_log({"details": deque(lines)})["details"] == [why]


def test_a_message_or_nothing_stays_as_it_is():
    assert without_servers_log(None) is None
    assert without_servers_log({"details": "Task is Already Running"})["details"]
