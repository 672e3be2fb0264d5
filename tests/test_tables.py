"""What is generated from the pages and the record."""

from companion import tables

ROW = {"id": "F", "notebook": "01_demonstrating_superposition", "verdict": "CONFIRMED", "values": [0.25, 0.5, 0.75], "seconds": 3.2}


def test_a_block_is_replaced_whole_and_twice_in_the_same_way():
    text = "before\n<!-- map -->\nold\nlines\n<!-- end of map -->\nafter"
    once = tables.filled(text, "map", "new")
    assert once == "before\n<!-- map -->\nnew\n<!-- end of map -->\nafter"
    assert tables.filled(once, "map", "new") == once
    assert tables.filled(text, "claims", "new") == text


def test_findings_take_their_numbers_from_the_record():
    page, id, _ = tables.FINDINGS[0]
    row = ROW | {"id": id, "notebook": page, "control": {"one": [0.8], "other": [0.6]}, "witness": []}
    told = tables.findings([row])
    assert "0.5 of the loss" in told
    assert "recovers 0.8" in told
    assert f"notebooks/{page}.ipynb" in told
    assert tables.findings([]) == ""


def test_the_summary_counts_by_page():
    lines = tables.summary([ROW, ROW | {"id": "G", "verdict": "MIXED"}]).splitlines()
    assert lines[0].startswith("2 claims: 1 CONFIRMED, 1 MIXED.")
    assert lines[-1] == "| [01_demonstrating_superposition](CLAIMS.md#01_demonstrating_superposition) | 2 | 1 CONFIRMED, 1 MIXED | 3 |"
