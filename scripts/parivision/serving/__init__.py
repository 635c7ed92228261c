"""What answers for others: the champion on the published data, who asked, and how the answers turned out."""
