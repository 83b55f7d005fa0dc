"""What is written: policy text to a frozen, fully checked `PolicyDocument`."""
