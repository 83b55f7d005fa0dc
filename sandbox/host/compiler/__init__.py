"""The process that compiles one component, says what it imports and exports, and exits."""
