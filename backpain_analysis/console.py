"""What the commands share: one message for an error, and tables for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table


@contextmanager
def one_message(
    *expected: type[Exception], stopped: Callable[[], str] = lambda: "Stopped."
) -> Iterator[None]:
    """Turn an error a user can put right into its message and exit code 2; Ctrl-C into 130.

    Those are the errors of our own classes, of files, and `expected`; `stopped` says what is told
    at Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        print(stopped(), file=sys.stderr)
        raise typer.Exit(130) from None
    except Exception as error:
        ours = type(error).__module__.startswith("backpain_analysis.")
        if not (ours or isinstance(error, (OSError, *expected))):
            raise
        print(error, file=sys.stderr)
        raise typer.Exit(2) from error


def live_console() -> Console:
    """A console that draws over itself only where it is looked at, whatever colours are asked for.

    Notebooks and CI ask for colours of what they keep as text.
    """
    return Console(force_terminal=sys.stdout.isatty())


def terminal_table(title: str, columns: list[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table for rich, its cells shown and not interpreted."""
    table = Table(*columns, title=escape(title), title_justify="left")
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    return table
