"""Telling people what broke: one alert for each failure, kept until a channel took it."""
