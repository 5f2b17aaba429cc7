"""From what people have to tables: templates to fill in, and files of other shapes turned."""

from backpain_analysis.importing.importer import (
    guess_mapping,
    import_file,
    read_source,
    write_imported,
)
from backpain_analysis.importing.mapping import Mapping, mapping_text, read_mapping
from backpain_analysis.importing.turning import turn, unused_columns
from backpain_analysis.importing.workbooks import write_template

__all__ = [
    "Mapping",
    "guess_mapping",
    "import_file",
    "mapping_text",
    "read_mapping",
    "read_source",
    "turn",
    "unused_columns",
    "write_imported",
    "write_template",
]
