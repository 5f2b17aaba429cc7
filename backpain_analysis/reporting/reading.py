"""Files that others may have put there: only plain ones are opened, and only to a size."""

from __future__ import annotations

import errno
import os
from pathlib import Path

MOST_BYTES = 200 * 2**20


def read_plain(path: Path, most: int = MOST_BYTES) -> bytes:
    """Read a file whole.

    Raises
    ------
    OSError
        If it is no plain file (a device, or a pipe in which nobody writes, would have no end), is
        larger than `most` bytes, or cannot be read.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"it is larger than {most // 2**20} MiB", str(path))
        return file.read()


def read_plain_text(path: Path, most: int = MOST_BYTES) -> str:
    """Read a file of UTF-8 whole; see `read_plain`. `UnicodeDecodeError` if it is none."""
    return read_plain(path, most).decode("utf-8").replace("\r\n", "\n")
