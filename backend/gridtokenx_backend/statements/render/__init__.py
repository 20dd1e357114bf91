"""A document as page, PDF, CSV or JSON."""
