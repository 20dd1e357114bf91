"""Simulated electricity meters behind real Modbus servers on real (pseudo-)serial lines.

`gridtokenx_sim.simulation.serve` starts them inside a test; `gridtokenx-sim run` starts them as a
process. Nothing here imports the gateway: the simulator must not share its mistakes.

This is an application: its commands and `sim.toml` are public (docs/stability.md), and no name
inside it is.
"""
