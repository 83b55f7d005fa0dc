"""What it means: a document, a world and a ceiling become a frozen `WasiTemplate`, and its rules judge."""
