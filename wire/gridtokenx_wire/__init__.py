"""The contract between the parts: units, readings, frames, acks, orders, keys and topics."""
