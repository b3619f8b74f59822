"""Certified bounds of what a network computes on boxes of inputs."""
