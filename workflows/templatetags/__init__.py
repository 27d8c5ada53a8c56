"""What the operators' templates can say."""
