"""The 15-minute energy of every meter, stored to be queried: a read model of the journal."""
