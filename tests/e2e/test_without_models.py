"""A server without any model version starts, lists none, and says why it cannot infer."""

import pytest
import requests

pytestmark = pytest.mark.e2e


def test_a_server_without_models_says_so(start_server, studies, tmp_path):
    server = start_server(studies=studies, model_dir=tmp_path / "no models")
    assert requests.get(f"{server.url}/info/", timeout=30).json()["models"].keys() == {"contours"}
    answer = requests.post(
        f"{server.url}/infer/two_step", params={"image": "operated_left"}, timeout=60
    )
    assert answer.status_code == 404
    assert "promote" in answer.json()["detail"]
