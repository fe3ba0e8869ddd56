"""docs/expectations.md is what is run, and a change of rules is a new version."""

from dataclasses import replace

from icg_tasks.intake import handbook
from icg_tasks.intake.impression_rules import CHECKS


def test_the_handbook_is_true_and_versions_stand_for_their_content():
    assert handbook.faults(handbook.Path(handbook.__file__).resolve().parents[2]) == []


def test_a_changed_rule_is_noticed():
    changed = (replace(CHECKS[0], expected="something else"), *CHECKS[1:])
    assert handbook.fingerprint(changed, []) != handbook.fingerprint(CHECKS, [])


def test_a_document_of_former_times_is_noticed(tmp_path):
    assert "out of date" in handbook.faults(tmp_path)[-1]
