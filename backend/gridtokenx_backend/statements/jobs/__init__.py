"""Makes documents in processes of their own, closes months, and stores the documents."""
