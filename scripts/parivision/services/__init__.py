"""The services around the reports: which there are, whether each lives, and the portal that shows it."""
