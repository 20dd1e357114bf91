"""Enrolment: a gateway asks a community to be let in."""
