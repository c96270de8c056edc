"""What drives each account: itself, the hour, or whom? The influence model."""
