"""Where Alertmanager asks for a challenger: starts the schedule's training run, once for each alert."""
