"""SunSpec: registers that describe themselves as a chain of models. No I/O.

Source: SunSpec Device Information Model Specification 1.2, and the models' own definitions,
https://github.com/sunspec/models, commit 7abdf8982d5364f8ae916deee18aac86c11be36d, folder json.
"""
