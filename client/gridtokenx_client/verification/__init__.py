"""The offline checks of what a community has published: auctions and their coupling."""
