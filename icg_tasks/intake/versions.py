"""Versions of the expectation suites with their row rules, and what content each number stands for.

When a rule or an expectation changes, ``python -m icg_tasks.intake.handbook --check`` (and its test) says so: raise the
number, set the fingerprint it names, and write the handbook again. A clean partition and its pages carry the number they were
judged by.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Version:
    """``fingerprint``: of everything the handbook says of that data set."""

    number: int
    fingerprint: str


VERSIONS = {
    "impressions": Version(number=3, fingerprint="672481324693"),
    "items": Version(number=2, fingerprint="30e7e96eef8e"),
}


def version_of(dataset: str) -> int:
    """The version of a data set's suite and rules.

    >>> version_of("items") >= 1
    True
    """
    return VERSIONS[dataset].number
