"""Registration: the community's terms, and the enrolment of gateways."""
