"""Trade match by call auction: the clearing of one interval over all zones."""
