"""What developing and trying out the service takes beyond the service itself."""
