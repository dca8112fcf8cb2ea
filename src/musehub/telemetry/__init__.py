"""What the hub says about itself: metrics and logs. Other rooms report events; this room listens."""
