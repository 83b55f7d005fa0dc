"""The process through which every guest's network traffic leaves."""
