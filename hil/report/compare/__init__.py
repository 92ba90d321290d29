"""The comparison of two chips, or of one at two dates: figures, tables, page."""
