"""The store on a Redis or Valkey server, for several servers of this program."""
