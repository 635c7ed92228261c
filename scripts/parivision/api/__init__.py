"""The prediction API: what a program asks over HTTP, answered by the same functions as the dashboard and the batch."""
