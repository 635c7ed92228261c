"""Whether all is well: everything that can be looked at, and one screen that sums it up."""
