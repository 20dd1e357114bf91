"""The commands of `gridtokenx-backend`."""
