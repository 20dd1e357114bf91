"""Order creation: signed instructions of members, and the standing orders that they leave."""
