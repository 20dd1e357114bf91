"""The one writer of a community, and what it does because time passes."""
