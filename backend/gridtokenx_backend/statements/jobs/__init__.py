"""Making statements beside the event loop, and keeping the documents."""
