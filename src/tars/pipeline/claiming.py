"""A folder belongs to the settings that it was begun with: what is made with others is never mixed into it.

One that ended before its first row is anybody's, for example because of a misspelt model.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tars.errors import InputError
from tars.store import RowLog, fingerprint, read_json, write_json

SETTINGS = "settings.json"


def claim_folder(folder: Path, settings: dict[str, Any], rows: RowLog, holds: str) -> None:
    """Write down in `settings.json` what a folder is made with.

    Args:
        folder: It exists.
        settings: JSON-compatible: all that its rows depend on.
        rows: Of the folder; without any, earlier settings are forgotten.
        holds: What the folder has if they differ, for the message.

    Raises:
        InputError: It has rows of other settings.
    """
    record = folder / SETTINGS
    if record.exists() and fingerprint(read_json(record)) != fingerprint(settings) and rows.rows():
        raise InputError(f"{folder}: has {holds}; use another --out")
    write_json(record, settings)


def claim_stage(folder: Path, key: str, rows: str) -> None:
    """See that a stage's folder, if there is one, was made with these settings, and clear away one that has no row.

    Args:
        folder: Of the whole stage; what is half done lies in its `.partial`.
        key: Fingerprint of the settings, as in `stage.json`.
        rows: Name of the file of rows that a stage begins with.

    Raises:
        InputError: It, or what is half done of it, was made with others.
    """
    partial = folder.with_name(folder.name + ".partial")
    for place in (folder, partial):
        record = place / "stage.json"
        if record.exists() and read_json(record).get("key") != key:
            if place == folder or RowLog(partial / rows).rows():
                raise InputError(f"{place}: made with other settings; give another --out or delete it")
            shutil.rmtree(partial)
