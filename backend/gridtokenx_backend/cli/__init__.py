"""The commands of `gridtokenx-backend` beside running it."""
