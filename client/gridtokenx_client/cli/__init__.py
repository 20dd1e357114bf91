"""The commands of `gridtokenx`, and how they print what they found."""
