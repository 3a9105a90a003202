from dataclasses import replace

from parotid_brachy.lib.comparison.costs import Cost
from parotid_brachy.lib.report.cost_table import cost_section

COST = Cost("two_step", "CPU", 8_014_888, 8, 50, 930.0, 1530.4, None, 2.84, 1568.2, None)


def test_each_method_is_a_line_and_what_is_not_known_a_dash():
    page = "\n".join(cost_section([COST, replace(COST, labelling_seconds=None)]))
    cells = "<td>CPU</td><td>8.01</td><td>8 x 50</td><td>15.5</td><td>1530</td><td>-</td>"
    assert page.count(cells) == 2
    assert "<td>2.84</td><td>1568</td><td>-</td>" in page
    assert "<td>-</td><td>1568</td><td>-</td>" in page


def test_what_a_device_calls_itself_is_escaped():
    page = "\n".join(cost_section([replace(COST, device="<script>")]))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
