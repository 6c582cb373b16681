"""Outcomes of generated trouble: a right answer, or a message of ours; all else is raised."""

from __future__ import annotations

import os
import traceback
from collections import Counter
from collections.abc import Callable

OURS = f"{os.sep}mke_theory{os.sep}"


def outcome(act: Callable[[], None]) -> str:
    """ "right answer", or "message" where it was refused by a line of this package that raises.

    Another library's error, an assertion of the check itself and warnings (which are errors) pass.
    """
    try:
        act()
    except (ValueError, TypeError, FloatingPointError) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        if OURS not in last.filename or not (last.line or "").startswith("raise"):
            raise
        assert len(str(error)) > 20, error
        return "message"
    return "right answer"


def told(counts: Counter[str]) -> None:
    """Print the counts, and hold that each outcome was met: else the trouble is no trouble."""
    print(dict(counts))
    assert min(counts["right answer"], counts["message"]) > sum(counts.values()) / 20, counts
