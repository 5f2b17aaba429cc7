"""The command ``backpain``, and ``python -m backpain_analysis``."""

from __future__ import annotations

import sys
from contextlib import suppress

RUN = ["report", "run"]
ALONE = ("--help", "--inputs", "--no-warm", "--scheduler")
"""Options of ``backpain report run`` with which no report starts warm here."""


def main() -> None:
    """Run the command; what goes wrong is said in one message and the exit code.

    The process that reports start from begins to import before the command line is read, which
    takes an eighth of a second.
    """
    words = sys.argv[1:]
    if words[:2] == RUN and not any(word.startswith(ALONE) for word in words):
        from backpain_analysis.reporting import ReportingError, warm

        with suppress(ReportingError):  # it starts again where that can be told
            warm.start()
    from backpain_analysis.cli import app

    app()


if __name__ == "__main__":
    main()
