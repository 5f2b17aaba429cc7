"""From what people have to tables: templates to fill in, and sheets of other shapes turned."""

from backpain_analysis.importing.template import write_template

__all__ = ["write_template"]
