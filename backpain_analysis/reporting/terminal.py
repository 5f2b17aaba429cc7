"""What a terminal would show of a text: lines written over, colours, progress bars."""

from __future__ import annotations

import re

from nbconvert.filters import ansi2html, strip_ansi

KERNEL_FILE = re.compile(r"(?<!\S)\S*ipykernel_\d+[/\\]\d+\.py")
CONTROL = re.compile(r"\x1b\[([\d;?]*)([A-Za-ln-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|([\r\n\b])")
MOVING = re.compile(r"[\r\b]|\x1b\[[\d;?]*[A-Za-ln-z]|\x1b\]")
COLOUR = re.compile(r"\x1b\[[\d;]*m")
CLOCK = re.compile(
    r"(?P<bar>\d+%\|[^|\n]*\| *[^\s\[]+/[^\s\[]+|\b\d+[A-Za-z]*it) \[[\d:?]+(?:<|, )[^\]\n]*\]"
)
"""What tqdm says of times; they differ from run to run."""

INLINE_COLOUR = re.compile(r'(<span(?: class="[^"]*")?) style="[^"]*"')


def written(text: str) -> str:
    """Return a text as it stands on a terminal at the end; colours stay, times of bars do not."""
    if MOVING.search(text):
        text = _on_screen(text)
    return CLOCK.sub(r"\g<bar>", text)


def as_html(text: str) -> str:
    """Write a text of a terminal as HTML, its basic colours as classes."""
    return INLINE_COLOUR.sub(r"\1", ansi2html(without_kernel(text, colours=True)))


def without_kernel(text: str, *, colours: bool = False) -> str:
    """Take kernels' file names and, unless asked for, terminal colours out of a text."""
    return KERNEL_FILE.sub("cell", text if colours else strip_ansi(text))


def _on_screen(text: str) -> str:
    """Write a text on lines that can be written over."""
    lines, row, column, at = [""], 0, 0, 0
    for found in CONTROL.finditer(text):
        if found.start() > at:
            lines[row], column = _over(lines[row], column, text[at : found.start()])
        at = found.end()
        times = int(found[1]) if (found[1] or "").isdecimal() else 1
        match found[3] or found[2]:
            case "\n":
                row, column = row + 1, 0
                if row == len(lines):
                    lines.append("")
            case "\r" | "G":
                column = 0
            case "\b":
                column = max(column - 1, 0)
            case "A" | "F":
                row, column = max(row - times, 0), 0 if found[2] == "F" else column
            case "B" | "E":
                row = min(row + times, len(lines) - 1)
            case "K":
                lines[row] = "" if found[1] == "2" or column == 0 else lines[row][:column]
    if at < len(text):
        lines[row], _ = _over(lines[row], column, text[at:])
    return "\n".join(line.rstrip() if line else line for line in lines)


def _over(line: str, column: int, text: str) -> tuple[str, int]:
    """Write a text over a line; a line with colours is written anew from the column on."""
    width = len(COLOUR.sub("", text))
    if "\x1b" in line or "\x1b" in text:
        plain = line if column >= len(COLOUR.sub("", line)) else line[:column]
        return plain + text, column + width
    return line[:column].ljust(column) + text + line[column + width :], column + width
