"""Where a guest's WASI call meets the template."""
