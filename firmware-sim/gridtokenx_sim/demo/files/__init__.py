"""The files that the demo writes for the programs it starts, and those that they leave."""
