"""What the gateway keeps: readings that wait, signed frames, and the state of its clock."""
