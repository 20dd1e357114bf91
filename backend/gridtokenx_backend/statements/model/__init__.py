"""What a statement consists of, and the months that statements are about."""
