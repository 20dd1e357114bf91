"""The commands of `gridtokenx-edge`, one module each. The agent imports none of them."""
