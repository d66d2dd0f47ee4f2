"""Running cores over sequences."""
