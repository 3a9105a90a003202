from datetime import timedelta
from pathlib import Path

import pytest
from monailabel.config import settings as framework

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.server.configuration import AuthMode, OidcSettings, ServerSettings

ISSUER = "https://login.example.org/realms/clinic"
OIDC = {"auth": "oidc", "oidc_issuer": ISSUER, "oidc_audience": "parotid"}


def test_without_settings_only_this_machine_is_served():
    settings = ServerSettings.of({}, studies="/data/studies")
    assert settings.auth is AuthMode.OFF
    assert settings.readers_file == Path("/data/studies/.parotid/readers.json")
    assert settings.token_key_file == Path("/data/studies/.parotid/token.key")
    assert settings.loopback_reviewer is None
    assert settings.cors_origins == ()
    assert settings.max_upload_bytes == 2**30
    assert not settings.has_one_reader


def test_everything_can_be_set():
    conf = {
        "auth": "local", "readers": "/etc/readers.json", "token_hours": "0.5",
        "loopback_reviewer": "Dr. Rob", "cors_origins": "https://a.example, http://b.example:81",
        "max_upload_mb": "2", "one_reader": "true", "model_dir": "/elsewhere",
    }  # fmt: skip
    settings = ServerSettings.of(conf, studies="/data")
    assert settings == ServerSettings(
        auth=AuthMode.LOCAL,
        readers_file=Path("/etc/readers.json"),
        token_key_file=Path("/data/.parotid/token.key"),
        token_lifetime=timedelta(minutes=30),
        loopback_reviewer="Dr. Rob",
        cors_origins=("https://a.example", "http://b.example:81"),
        max_upload_bytes=2 * 2**20,
        has_one_reader=True,
    )


def test_a_provider_needs_issuer_and_audience_only():
    oidc = ServerSettings.of(OIDC, studies="http://archive/dicom-web").oidc
    assert oidc == OidcSettings(issuer=ISSUER, audience="parotid")
    assert oidc.role_claims == ("realm_access.roles", "roles")
    conf = OIDC | {"oidc_role_claim": "groups", "oidc_name_claim": "email"}
    oidc = ServerSettings.of(conf, studies="").oidc
    assert (oidc.role_claims, oidc.name_claim) == (("groups",), "email")


def test_an_archives_readers_lie_in_the_folder_that_keeps_its_contours(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    conf = {"auth": "local"}
    settings = ServerSettings.of(conf, studies="https://archive:8043/dicom-web/")
    (name,) = settings.readers_file.relative_to(tmp_path / "parotid-brachy").parts[:1]
    assert name.startswith("archive-")
    assert settings.token_key_file == settings.readers_file.with_name("token.key")
    same = ServerSettings.of(conf, studies="https://archive:8043/dicom-web")
    assert same.readers_file == settings.readers_file
    other = ServerSettings.of(conf, studies="https://archive:8044/dicom-web")
    assert other.readers_file != settings.readers_file
    named = ServerSettings.of(conf | {"studies_folder": "/data/kept"}, studies="https://archive")
    assert named.readers_file == Path("/data/kept/.parotid/readers.json")
    with pytest.raises(UsageError, match="studies_folder"):
        ServerSettings.of(conf | {"studies_folder": "kept"}, studies="https://archive")


@pytest.mark.parametrize(
    ("conf", "named"),
    [
        ({"auth": "of"}, "auth"),
        ({"auth": "LOCAL"}, "auth"),
        ({"auth": "none"}, "auth"),
        ({"auth": "oidc"}, "oidc_issuer"),
        ({"auth": "oidc", "oidc_issuer": ISSUER}, "oidc_audience"),
        (OIDC | {"oidc_issuer": "http://login.example.org"}, "oidc_issuer"),
        (OIDC | {"oidc_issuer": "login.example.org"}, "oidc_issuer"),
        (OIDC | {"oidc_issuer": "https://user@login.example.org"}, "oidc_issuer"),
        (OIDC | {"oidc_jwks": "http://keys.example.org"}, "oidc_jwks"),
        (OIDC | {"oidc_jwks": "file:///keys.json"}, "oidc_jwks"),
        (OIDC | {"oidc_jwks": "https://"}, "oidc_jwks"),
        ({"token_hours": "0"}, "token_hours"),
        ({"token_hours": "nan"}, "token_hours"),
        ({"token_hours": "1e9"}, "token_hours"),
        ({"token_hours": "twelve"}, "token_hours"),
        ({"max_upload_mb": "-1"}, "max_upload_mb"),
        ({"one_reader": "maybe"}, "one_reader"),
        ({"loopback_reviewer": "../x"}, "reader"),
        ({"cors_origins": "*"}, "cors_origins"),
        ({"cors_origins": "null"}, "cors_origins"),
        ({"cors_origins": "https://a.example/path"}, "cors_origins"),
        ({"cors_origins": "a.example"}, "cors_origins"),
        ({"cors_origins": "http://[::1"}, "cors_origins"),
        ({"cors_origins": "http://a.example:99999"}, "cors_origins"),
    ],
)
def test_nonsense_is_told_at_the_start(conf, named):
    with pytest.raises(UsageError, match=named):
        ServerSettings.of(conf, studies="/data")


@pytest.mark.parametrize("conf", [{"auth": "local"}, {"loopback_reviewer": "rob"}])
def test_without_studies_the_readers_must_be_named(conf):
    with pytest.raises(UsageError, match="--conf readers"):
        ServerSettings.of(conf, studies="")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/realms/x", "http://localhost/realms/x"])
def test_a_provider_on_this_machine_needs_no_encryption(url):
    assert ServerSettings.of(OIDC | {"oidc_issuer": url}, studies="").oidc.issuer == url


@pytest.mark.parametrize(
    ("name", "value"), [("MONAI_LABEL_AUTH_ENABLE", True), ("MONAI_LABEL_API_STR", "/api")]
)
def test_the_frameworks_own_settings_for_the_same_are_refused(monkeypatch, name, value):
    monkeypatch.setattr(framework, name, value)
    with pytest.raises(UsageError, match=name):
        ServerSettings.of_framework()
