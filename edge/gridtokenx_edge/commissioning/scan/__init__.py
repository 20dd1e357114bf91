"""Who is on a bus: settings and addresses tried, meters told by what they answer. Never writes."""
