"""Renders a document as a page, PDF, CSV or JSON."""
