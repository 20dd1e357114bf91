"""What the gateway keeps: held readings, sealed frames, the clock that timed them."""
