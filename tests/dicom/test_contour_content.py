from datetime import datetime, timezone

import pytest

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.dicom.contour_content import (
    Approval,
    ContourContent,
    Origin,
    person_name,
)
from parotid_brachy.lib.errors import UsageError

NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("name", "carried"),
    [
        ("Dr Berg", "Dr Berg"),
        ("Müller", "Muller"),
        ("Großmann", "Grossmann"),
        ("Søren Łukasiewicz", "Soren Lukasiewicz"),
        ("Zoë d'Angoulême", "Zoe d'Angouleme"),
    ],
)
def test_objects_carry_names_without_accents(name, carried):
    assert person_name(name) == carried
    content = ContourContent("case", Side.LEFT, Origin.MANUAL, NOW, reader=name)
    assert content.creator == carried


@pytest.mark.parametrize("name", ["李明", "Ольга", "a^b", "a\\b", "a=b", "x" * 65, " ", "a\nb"])
def test_a_name_that_no_object_can_carry_is_refused(name):
    with pytest.raises(UsageError, match="Latin"):
        ContourContent("case", Side.LEFT, Origin.MANUAL, NOW, reader=name)
    with pytest.raises(UsageError, match="Latin"):
        Approval(name, NOW)
