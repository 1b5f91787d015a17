"""The charts of the report: what they show, drawn as SVG for the page and as PNG for files."""
