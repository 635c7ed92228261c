"""When runs are due, and what is run then: slots, cron, catching up, backfills, and when to train anew."""
