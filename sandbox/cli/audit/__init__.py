"""`sandbox audit`: read the record, count it, copy it, and check that it is as it was written."""
