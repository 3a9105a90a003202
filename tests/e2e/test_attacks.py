"""The attack list of scripts/measure/attacks, against servers started in both ways."""

import pytest
from scripts.measure.attack_run import Surroundings, all_attacks, attack
from tests.e2e.conftest import OUR_ASGI, write_registry

pytestmark = pytest.mark.e2e

# Refusals that say nothing about what was sent.
NOT_ALLOWED = {401, 403, 409}


@pytest.fixture(scope="module", params=[OUR_ASGI, ()], ids=["our-asgi", "plain-start-server"])
def besieged(request, start_server, tmp_path_factory):
    """A server with small studies, what lies round it, and an admin's token."""
    surroundings = Surroundings(tmp_path_factory.mktemp("siege"))
    surroundings.build()
    write_registry(surroundings.root / "models")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in surroundings.environment.items():
            patch.setenv(name, value)
        server = start_server(
            *request.param, studies=surroundings.studies, model_dir=surroundings.root / "models"
        )
    return surroundings, server, surroundings.arm(server.url)


def test_the_list_is_long_and_no_attack_is_in_it_twice():
    attacks = list(all_attacks())
    assert len(attacks) > 1000
    assert len({(a.method, a.target, a.headers, a.body) for a in attacks}) == len(attacks)


@pytest.mark.parametrize("who", ["nobody", "an admin"])
def test_every_attack_is_refused_with_a_reason_and_changes_nothing(besieged, who):
    surroundings, server, token = besieged
    port = int(server.url.rpartition(":")[2])
    report = attack(surroundings, port, token=token if who == "an admin" else None)
    assert report.faults == []
    assert server.is_alive()
    if who == "an admin":
        # What was wrong with a label map was found in the map, not in who sent it or when.
        masked = [
            f"{o.attack.name}: {o.status} {o.told}"
            for o in report.outcomes
            if o.attack.group.startswith("label map") and o.status in NOT_ALLOWED
        ]
        assert masked == []
