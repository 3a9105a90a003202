import pytest

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.server.wire import (
    check_options,
    check_task_options,
    checked_id,
    checked_session_id,
    checked_tag,
    json_object,
)


@pytest.mark.parametrize(
    "name",
    ["case_a", "CT neck 2", "1.2.840.113619", "Größe", "頭頸部", "a" * 200, "a+b (c), d-e", "_x"],
)
def test_a_file_name_is_an_id(name):
    assert checked_id(name, what="image") == name


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", ".hidden", "/etc/passwd", "../x", "a/../../b", "a\\b", "a\0b", "a\nb",
        "a" * 256, "ä" * 128, "C:x", "a:b", "a*", "a?b", "a|b", "~root", "$HOME", "`id`", "a%2fb",
        "a\u2028b", "a\u202eb", "a\ud800", "\uff0fetc", "\u2215etc", "<b>", "a'b", 'a"b',
        "a&b", "a#b",
    ],
)  # fmt: skip
def test_a_path_or_what_a_shell_or_page_could_misread_is_no_id(name):
    with pytest.raises(UsageError, match="image"):
        checked_id(name, what="image")


@pytest.mark.parametrize("tag", ["original", "final", "version_1", "version_12", "version_9999"])
def test_the_tags_of_stock_clients_are_tags(tag):
    assert checked_tag(tag) == tag


@pytest.mark.parametrize(
    "tag",
    [
        "", "../final", "/tmp", "a b", ".x", "final\n", "x" * 65, "FINAL", "v1.2-b", "version_",
        "version_0", "version_01", "version_10000", "version_-1", "version_\u0661", "version_1/..",
    ],
)  # fmt: skip
def test_nothing_else_is_a_tag(tag):
    with pytest.raises(UsageError, match="tag"):
        checked_tag(tag)


@pytest.mark.parametrize("session", ["", "..", "x", "0" * 36, "../" + "0" * 33])
def test_a_session_is_called_as_the_server_called_it(session):
    with pytest.raises(UsageError, match="session"):
        checked_session_id(session)
    assert checked_session_id("8f14e45f-ceea-467f-a0e6-7f6d1a2b3c4d")


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}', '{"b": {"a": 1, "a": 1}}', '{"a": NaN}', '{"a": 1e999}',
        '{"a": -1e999}', '{"a": "\\u0000"}', '{"\\ud800": 1}', '{"a": ["\\udfff"]}',
        "[" * 100_000, "[]", "{",
    ],
)  # fmt: skip
def test_json_that_means_two_things_or_cannot_be_kept_is_refused(text):
    with pytest.raises(UsageError, match="params"):
        json_object(text, what="params")


def test_json_with_any_text_is_taken():
    text = '{"a": [1.5, "\\\\u0000", "\\ud83d\\ude00", {"a": null}]}'
    assert json_object(text, what="params") == {"a": [1.5, "\\u0000", "\U0001f600", {"a": None}]}


@pytest.mark.parametrize(
    "options",
    [
        {"train_ds": "/etc"}, {"image": "x"}, {"model_dir": "x"}, {"label_tag": "../x"},
        {"label_tag": ["final"]}, {"name": "../x"}, {"two_step": {"output_dir": "/tmp"}},
        {"a": {"b": {"name": "/x"}}}, {"bundle_path": "/tmp/x.zip"}, {"gpus": 5},
        {"expected_edit": {"bundle_path": "/tmp"}}, {"gpus": "0\0"}, {"gpus": "0;x"},
        {"model": []}, {"model": {}},
    ],
)  # fmt: skip
def test_options_do_not_choose_files_of_the_servers(options):
    with pytest.raises(UsageError):
        check_options(options)


def test_ordinary_options_pass():
    check_options(
        {"side": "left", "label_tag": "original", "image": None, "two_step": {"name": "a"}}
    )


@pytest.mark.parametrize(
    "gpus", [None, "", "all", "0", "0,1", "GPU-8932f937-d72c", "MIG-GPU-a/1/0"]
)
def test_devices_may_be_chosen(gpus):
    check_options({"gpus": gpus})


def test_options_that_no_process_can_be_given_are_refused():
    check_task_options({"images": ["case"] * 1000})
    with pytest.raises(UsageError, match="100000"):
        check_task_options({"images": ["case"] * 20_000})
    with pytest.raises(UsageError, match="bundle_path"):
        check_task_options({"bundle_path": "/tmp"})


def test_empty_text_is_an_empty_object():
    assert json_object("", what="params") == {}


@pytest.mark.parametrize(
    "text",
    ["{", "[1]", "3", "null", "[" * 100_000, '{"a": NaN}', '{"a": -Infinity}', "{" + "1" * 5000],
)
def test_what_is_no_json_object_is_refused_by_name(text):
    with pytest.raises(UsageError, match="params"):
        json_object(text, what="params")
