"""Trade match: order books, matching, charges, and when and where there is trading."""
