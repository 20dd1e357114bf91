"""The certificate authority, the enrolment of gateways, and the access lists of the broker."""
