"""The simulated data service ("virtual bets API"): a league's shots as a paged feed, as its clock reaches them."""
