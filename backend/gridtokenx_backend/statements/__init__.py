"""Monthly statements and reports: folds over the journal, and what they look like."""
