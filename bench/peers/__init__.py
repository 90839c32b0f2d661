"""What one would pick instead, answering the same bytes: two FastAPI services, to be measured beside ours."""
