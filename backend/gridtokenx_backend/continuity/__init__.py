"""What is kept outside the journal, so that a journal that was lost or put back is noticed."""
