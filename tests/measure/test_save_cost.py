from scripts.measure.save_cost import measure, summary


def test_both_stores_do_the_same_and_are_compared(tmp_path):
    rows = measure(tmp_path, cases=4, repeats=2)
    assert {(row["store"], row["deed"]) for row in rows} == {
        (store, deed) for store in ("ours", "framework") for deed in ("save", "list", "next case")
    }
    table = summary([*rows, *({**row, "cases": 8, "ms": 2 * row["ms"]} for row in rows)])
    assert {row["cases"] for row in table} == {4, 8}
    for row in table:
        expected = 1.0 if row["cases"] == 4 else 2.0
        assert abs(row["ours / ours with fewest cases"] - expected) < 1e-9
