"""What Prometheus is told: of the runs through a textfile, of the store and of what was served through an exporter."""
