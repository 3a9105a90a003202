import pytest

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.server.wire import checked_id, checked_tag, json_object


@pytest.mark.parametrize("name", ["case_a", "CT neck 2", "1.2.840.113619", "Größe", "a" * 255])
def test_a_file_name_is_an_id(name):
    assert checked_id(name, what="image") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "/etc/passwd",
        "../x",
        "a/../../b",
        "a\\b",
        "a\0b",
        "a\nb",
        "a" * 256,
        "ä" * 128,
    ],
)
def test_a_path_is_no_id(name):
    with pytest.raises(UsageError, match="image"):
        checked_id(name, what="image")


@pytest.mark.parametrize("tag", ["original", "final", "version_12", "v1.2-b"])
def test_a_plain_word_is_a_tag(tag):
    assert checked_tag(tag) == tag


@pytest.mark.parametrize("tag", ["", "../final", "/tmp", "a b", ".x", "final\n", "x" * 65])
def test_a_tag_that_could_name_another_folder_is_refused(tag):
    with pytest.raises(UsageError, match="tag"):
        checked_tag(tag)


def test_empty_text_is_an_empty_object():
    assert json_object("", what="params") == {}


@pytest.mark.parametrize("text", ["{", "[1]", "3", "null", "[" * 100_000])
def test_what_is_no_json_object_is_refused_by_name(text):
    with pytest.raises(UsageError, match="params"):
        json_object(text, what="params")
